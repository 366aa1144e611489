//! Rewriting a table: how its objects are read ([`Reading`]), which columns are written ([`Shape`]), what the tasks of a
//! run are ([`Layout`]), where files are cut ([`Cuts`]) and which partition a row goes to ([`Router`]). docs/SEMANTICS.md,
//! "Repartition", states what is written.

mod cuts;
mod lines;
mod reading;
mod route;
mod shape;
mod tables;
mod tasks;

pub use self::{
    cuts::Cuts,
    lines::{Dialect, LineError, LineFramer},
    reading::{Reading, ReadingError},
    route::{RouteError, Routed, Router},
    shape::{KeyValues, Origin, Shape, ShapeError, Written},
    tables::target_table,
    tasks::{Layout, Part, Places, Span, Stored, Task, Unit, is_data, splits},
};
