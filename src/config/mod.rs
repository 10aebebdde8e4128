//! Configuration: YAML files in, a checked plan out.

pub mod plan;
