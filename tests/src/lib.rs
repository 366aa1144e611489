//! The project's test bed: models of the services with faults, what every store must do, and the simulation
//! of the jobs on both.

pub mod model;
