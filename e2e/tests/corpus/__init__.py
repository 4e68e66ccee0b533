"""Objects that break each rule and each bound of the definitions that we read, one at a time.

`bases/` has good objects, which between them have every field. `bounds` finds each bound of a schema and steps over it in a copy of one of them;
`rules` does so by hand, for what CEL says. `server` and `program` give the two verdicts.
"""
