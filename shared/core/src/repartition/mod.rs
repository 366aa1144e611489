//! Plans the rewriting of a table: which columns are written ([`Shape`]), the tasks of a run ([`Layout`]), where files
//! are cut ([`Cuts`]), the partition of each row ([`Router`]), and which files can be merged without decoding rows
//! ([`united`]). docs/SEMANTICS.md, "Repartition", specifies what is written.

mod cuts;
mod keys;
mod route;
mod shape;
mod tables;
mod tasks;
mod united;

pub use self::{
    cuts::Cuts,
    keys::KeyValues,
    route::{RouteError, Routed, Router},
    shape::{Origin, Shape, ShapeError, Written},
    tables::target_table,
    tasks::{Layout, Part, Places, Span, Stored, Task, Unit, is_data, splits},
    united::united,
};
