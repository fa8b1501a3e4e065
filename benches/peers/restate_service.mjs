// Restate: ten steps that do nothing, as a service on Node. Says on which port it listens and serves until it is ended.

import * as restate from "@restatedev/restate-sdk";

const STEPS = 10;

const bench = restate.service({
  name: "bench",
  handlers: {
    linear: async (ctx, n) => {
      for (let step = 0; step < STEPS; step += 1) {
        n = await ctx.run(`s${step}`, () => n);
      }
      return n;
    },
  },
});

const port = await restate.serve({ services: [bench], port: Number(process.argv[2]) });
console.log(`listening on ${port}`);
