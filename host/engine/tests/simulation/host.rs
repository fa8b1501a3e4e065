//! One host after another on one store, and what is done to them.

use std::sync::Arc;
use std::time::Duration;

use stepcell_engine::{Clock, Driving, EngineOptions, EventFilter, FeedStart, IdSource, StepRunner, WorkflowEngine};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::name::ComponentName;
use stepcell_store::{MemoryStore, WorkflowStore};
use tokio::task::JoinSet;

use crate::between::Between;
use crate::clients::{Client, Deed};
use crate::definitions::definitions;
use crate::faults::{Faults, Rates};
use crate::guests::{Guests, Temper};
use crate::world::{Acknowledged, Dice, World};

/// How long everything may take once nothing goes wrong any more.
const DRAIN_MAX: Duration = Duration::from_secs(600);

/// How many commits are far more than any simulation needs.
const COMMITS_MAX: usize = 20_000;

/// How long what pure steps came to may wait, where chance does not say.
const FUSED_FOR: Duration = Duration::from_millis(50);

/// How many instances are started from outside.
const STARTS_MAX: u64 = 8;

/// What decides how the engine sees its store; tests of the simulation itself let it lie.
pub type Wrap = dyn Fn(Arc<MemoryStore>) -> Arc<dyn WorkflowStore> + Send + Sync;

/// A host that lives.
pub struct Host {
    pub engine: WorkflowEngine,
    driving: Driving,
    pub faults: Arc<Faults>,
    /// Calls that are under way; they go down with the host.
    calls: JoinSet<()>,
}

/// Everything of one simulation.
pub struct Play {
    world: Arc<World>,
    store: Arc<dyn WorkflowStore>,
    temper: Temper,
    rates: Rates,
    workflows: u64,
    lives: usize,
    starts: u64,
    deeds: u64,
}

fn engine_on(
    world: &Arc<World>,
    store: Arc<dyn WorkflowStore>,
    temper: Temper,
    concurrency: usize,
    fused_for: Duration,
) -> WorkflowEngine {
    let options = EngineOptions {
        concurrency,
        fused_for,
        clock: Arc::clone(&world.clock) as Arc<dyn Clock>,
        ids: Arc::clone(&world.ids) as Arc<dyn IdSource>,
        ..EngineOptions::default()
    };
    WorkflowEngine::new(store, Arc::new(Guests(Arc::clone(world), temper)) as Arc<dyn StepRunner>, options)
}

impl Play {
    /// A world in which definitions are registered and nothing has happened.
    pub async fn set(seed: u64, wrap: &Wrap) -> Self {
        Self::of(seed, wrap, definitions(seed), Temper::ByChance, Rates::of(seed)).await
    }

    /// A world in which these definitions are registered.
    pub async fn of(
        seed: u64,
        wrap: &Wrap,
        definitions: Vec<WorkflowDefinition>,
        temper: Temper,
        rates: Rates,
    ) -> Self {
        let world = World::new(seed);
        let store = wrap(Arc::clone(&world.store));
        let engine = engine_on(&world, Arc::clone(&store), temper, 1, FUSED_FOR);
        for name in ["a", "undo", "fx"] {
            let (name, bytes) = (ComponentName::new(name).unwrap(), name.as_bytes().into());
            engine.registry().register_component(name, semver::Version::new(1, 0, 0), bytes).await.unwrap();
        }
        let workflows = definitions.len() as u64 - 1;
        for definition in definitions {
            world.note(format!("definition {}", definition.to_json().text()));
            engine.registry().register_definition(definition).await.unwrap();
        }
        Self { world, store, temper, rates, workflows, lives: 0, starts: 0, deeds: 0 }
    }

    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Lets everything happen, and then everything come to its end.
    pub async fn run(&mut self) {
        let mut dice = Dice::of(self.world.seed, "deeds");
        let starts = 1 + dice.roll(STARTS_MAX);
        self.starts = starts;
        let mut deeds: Vec<_> = (0..starts).map(|which| (dice.roll(4_000), Deed::Start(which))).collect();
        deeds.extend((0..dice.roll(40)).map(|_| (dice.roll(12_000), deed(&mut dice))));
        deeds.sort_by_key(|(at, _)| *at);
        let mut host = self.boot().await;
        for (at, deed) in deeds {
            let at = crate::world::START.after(Duration::from_millis(at));
            while !host.lives_until(self.world.clock.sleep_until(at)).await {
                host = self.reboot(host).await;
            }
            match deed {
                Deed::Stop => {
                    self.world.note("the host stops");
                    let _ = host.stop().await;
                    host = self.boot().await;
                }
                Deed::Kill => {
                    self.world.note("the host is killed");
                    host = self.reboot(host).await;
                }
                deed => self.submit(&mut host, deed),
            }
        }
        // What was asked for shortly before the end has its time to go wrong, too.
        while !host.lives_until(tokio::time::sleep(Duration::from_secs(2))).await {
            host = self.reboot(host).await;
        }
        self.world.note("nothing goes wrong any more");
        self.rates = Rates::default();
        host = self.reboot(host).await;
        for which in 0..starts {
            self.submit(&mut host, Deed::Start(which));
        }
        if self.drain(&host).await {
            self.rest(host).await;
        } else {
            host.down().await;
        }
    }

    /// Lets people, senders and time do what is theirs until every instance is finished. Says whether they are.
    async fn drain(&self, host: &Host) -> bool {
        let client = self.client(host);
        let until = tokio::time::Instant::now() + DRAIN_MAX;
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            if let Some(fault) = host.engine.fault() {
                self.world.violated(format!("the store can not be used, and nothing goes wrong any more: {fault}"));
                return false;
            }
            let mut open = Vec::new();
            for instance in client.instances().await {
                if !client.settles(instance.identity.id).await {
                    open.push(self.world.name(instance.identity.id));
                }
            }
            if open.is_empty() && self.store.list_letters(1).await.unwrap().is_empty() {
                return true;
            }
            if tokio::time::Instant::now() > until || self.world.seen().commits > COMMITS_MAX {
                self.world.violated(format!("{} do not come to an end", open.join(", ")));
                return false;
            }
        }
    }

    /// Once everything is finished nothing happens any more, on a new host either.
    async fn rest(&mut self, host: Host) {
        host.stop().await;
        let commits = self.world.seen().commits;
        let host = self.boot().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        host.stop().await;
        let after = self.world.seen().commits;
        if commits != after {
            self.world.violated(format!("{} commits after everything was finished", after - commits));
        }
    }

    fn client(&self, host: &Host) -> Client {
        let (world, engine) = (Arc::clone(&self.world), host.engine.clone());
        Client { world, engine, workflows: self.workflows }
    }

    /// Somebody reads all that happens, and goes on where they were each time that a host comes up.
    async fn reads(world: Arc<World>, engine: WorkflowEngine) {
        loop {
            let last = world.seen().told.last().map(|entry| entry.position);
            let start = last.map_or(FeedStart::Beginning, FeedStart::After);
            match engine.events(EventFilter::default(), start).await {
                Ok(mut feed) => {
                    while let Ok(Some(entry)) = feed.next().await {
                        world.seen().told.push(entry);
                    }
                }
                Err(error) => world.note(format!("the events can not be read: {error}")),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn submit(&mut self, host: &mut Host, deed: Deed) {
        self.deeds += 1;
        let _ = host.calls.spawn(self.client(host).does(deed, self.deeds));
    }

    pub async fn boot(&mut self) -> Host {
        loop {
            self.lives += 1;
            let mut dice = Dice::of(self.world.seed, ("life", self.lives));
            let visitor = engine_on(&self.world, Arc::clone(&self.store), self.temper, 1, FUSED_FOR);
            // A host that dies again and again is no news after some time.
            let rates = if self.lives > 40 { Rates::default() } else { self.rates };
            let faults = Faults::new(Arc::clone(&self.world), visitor, rates, self.lives);
            let between = Between { store: Arc::clone(&self.store), way: Arc::clone(&faults) };
            let (concurrency, fused_for) = match self.temper {
                Temper::ByChance => {
                    let fused_for = Duration::from_millis(dice.roll(4) * dice.roll(300));
                    (1 + usize::try_from(dice.roll(6)).unwrap(), fused_for)
                }
                Temper::ByName => (1, FUSED_FOR),
            };
            let engine = engine_on(&self.world, Arc::new(between), self.temper, concurrency, fused_for);
            let plan = Arc::clone(&faults);
            engine.set_fail_plan(Arc::new(move |point, kind| plan.reached(point, kind)));
            self.world.note(format!("host {} comes up", self.lives));
            let driving = tokio::select! {
                biased;
                driving = engine.drive() => driving,
                () = faults.died() => continue,
            };
            match driving {
                Ok(driving) => {
                    let mut host = Host { engine, driving, faults, calls: JoinSet::new() };
                    let _ = host.calls.spawn(Self::reads(Arc::clone(&self.world), host.engine.clone()));
                    self.ask_again(&mut host);
                    return host;
                }
                Err(error) => self.world.note(format!("host {} does not come up: {error}", self.lives)),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Whoever started something and was not told whether it did asks again.
    fn ask_again(&mut self, host: &mut Host) {
        let seen = self.world.seen();
        let is_told = |key: &str| {
            let told = |what: &Acknowledged| matches!(what, Acknowledged::Started { key: known, .. } if known == key);
            seen.acknowledged.iter().any(told)
        };
        let asked: Vec<_> = (0..self.starts).filter(|which| !is_told(&format!("k{which}"))).collect();
        drop(seen);
        if self.lives > 1 {
            for which in asked {
                self.submit(host, Deed::Start(which));
            }
        }
    }

    pub async fn reboot(&mut self, host: Host) -> Host {
        self.world.seen().crashes += 1;
        host.down().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.boot().await
    }
}

impl Host {
    /// Whether the host lives until something has happened.
    pub async fn lives_until(&self, what: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.faults.died() => false,
            _ = self.engine.faulted() => false,
            () = what => true,
        }
    }

    /// The host goes down where it stands.
    pub async fn down(mut self) {
        self.faults.die();
        self.calls.shutdown().await;
        self.driving.abandon().await;
    }

    /// The host lets its attempts end; says whether it lived until then.
    pub async fn stop(mut self) -> bool {
        self.calls.shutdown().await;
        let lived = tokio::select! {
            biased;
            () = self.driving.stop() => true,
            () = self.faults.died() => false,
        };
        self.faults.die();
        self.engine.abandon();
        lived
    }
}

fn deed(dice: &mut Dice) -> Deed {
    match dice.roll(44) {
        0..2 => Deed::Cancel,
        2..6 => Deed::Pause,
        6..11 => Deed::Resume,
        11..16 => Deed::Retry,
        16..20 => Deed::Signal,
        20..24 => Deed::Deliver,
        24..27 => Deed::Claim,
        27..36 => Deed::Complete,
        36..38 => Deed::Stop,
        38..40 => Deed::Kill,
        _ => Deed::Wait,
    }
}
