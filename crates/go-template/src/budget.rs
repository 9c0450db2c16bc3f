//! Limits of one rendering, and what was used of them.

use std::cell::Cell;

use crate::error::Fault;

/// What one rendering may use. Go has none of these but a template depth of 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the template's text.
    pub source: usize,
    /// Nodes evaluated, iterations, members visited.
    pub steps: u64,
    /// Bytes of all values made on the way, whether kept or not.
    pub work: u64,
    /// Bytes of the result.
    pub output: usize,
    /// Templates in templates, blocks in blocks, parentheses in parentheses, together.
    pub depth: usize,
}

impl Limits {
    /// 1 MiB of text, a million steps, 64 MiB of work, 4 MiB of result, depth 100.
    pub const DEFAULT: Self = Self { source: 1 << 20, steps: 1_000_000, work: 64 << 20, output: 4 << 20, depth: 100 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Deepest value that is printed, compared or encoded.
pub(crate) const MAX_NESTING: usize = 100;

/// What is left.
pub(crate) struct Budget {
    limits: Limits,
    steps: Cell<u64>,
    work: Cell<u64>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, steps: Cell::new(limits.steps), work: Cell::new(limits.work) }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One step.
    pub(crate) fn step(&self) -> Result<(), Fault> {
        self.steps(1)
    }

    /// Several steps.
    pub(crate) fn steps(&self, count: u64) -> Result<(), Fault> {
        take(&self.steps, count).ok_or_else(|| Fault::Limit(format!("more than {} steps", self.limits.steps)))
    }

    /// Bytes about to be made.
    pub(crate) fn bytes(&self, count: u64) -> Result<(), Fault> {
        take(&self.work, count)
            .ok_or_else(|| Fault::Limit(format!("more than {} bytes of intermediate values", self.limits.work)))
    }

    /// Refuses values nested too deeply to be walked.
    pub(crate) fn nesting(depth: usize) -> Result<(), Fault> {
        if depth > MAX_NESTING {
            return Err(Fault::Limit(format!("a value nested deeper than {MAX_NESTING}")));
        }
        Ok(())
    }
}

fn take(left: &Cell<u64>, count: u64) -> Option<()> {
    let rest = left.get().checked_sub(count);
    left.set(rest.unwrap_or(0));
    rest.map(|_| ())
}
