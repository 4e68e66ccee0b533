//! Answers DNS: names of the mesh from its table, all others from the servers that the machine had before.
