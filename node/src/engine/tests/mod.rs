//! The engine from outside: alerts go in, a real receiver on a socket hears what is told, on a clock that the test moves.

mod cluster;
mod day;
mod events;
mod model;
mod pipeline;
mod traps;
mod world;
