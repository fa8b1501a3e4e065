-- What the engine can use a component as. Every component from before is a step: no other could be registered.
ALTER TABLE components ADD COLUMN exports TEXT NOT NULL DEFAULT 'step';
