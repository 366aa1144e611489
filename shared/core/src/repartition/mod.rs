//! Rewriting a table: which columns are written ([`Shape`]), what the tasks of a
//! run are ([`Layout`]), where files are cut ([`Cuts`]), which partition a row goes to ([`Router`]), and which files need not be
//! read row by row ([`united`]). docs/SEMANTICS.md, "Repartition", states what is written.

mod cuts;
mod route;
mod shape;
mod tables;
mod tasks;
mod united;

pub use self::{
    cuts::Cuts,
    route::{RouteError, Routed, Router},
    shape::{KeyValues, Origin, Shape, ShapeError, Written},
    tables::target_table,
    tasks::{Layout, Part, Places, Span, Stored, Task, Unit, is_data, splits},
    united::united,
};
