//! What may enter: a component is measured and held against the contract before anything of it is compiled.
