//! Tests of the crate from outside: recorded cases, the corpus, and what cannot be recorded.

#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod recorded;
