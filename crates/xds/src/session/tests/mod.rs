//! A session against a model of a client that does as the protocol says.

mod delta;
mod laws;
mod model;
mod name_table;
mod order;
mod rejections;
mod world;
