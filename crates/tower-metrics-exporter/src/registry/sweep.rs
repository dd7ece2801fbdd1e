/// When to look for what nobody can reach any more: once there is twice as much as was left the last time, so
/// that what is dead is never more than what lives, and the work is a constant for each insertion.
#[derive(Debug)]
pub(super) struct Sweep {
    at: usize,
}

/// Not worth a look.
const FEW: usize = 64;

impl Default for Sweep {
    fn default() -> Self {
        Self { at: FEW }
    }
}

impl Sweep {
    /// After one that left so much.
    pub(super) fn after(left: usize) -> Self {
        Self {
            at: left.saturating_mul(2).max(FEW),
        }
    }

    pub(super) const fn is_due(&self, len: usize) -> bool {
        len >= self.at
    }
}
