//! What makes written files visible to readers: the catalog's partitions, and the state that names a partition's directory.

pub(crate) mod partition_state;
pub(crate) mod register;
