/// How much one line may hold, whatever is logged.
///
/// What does not fit is left out or cut, and the line says `"truncated":true`.
///
/// ```
/// use tower_json_logging::{JsonLayer, Limits};
///
/// let layer = JsonLayer::stdout().limits(Limits::new().value(1024));
/// # drop(layer);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    line: usize,
    value: usize,
    fields: usize,
}

impl Limits {
    /// The least bytes of a line, so that what every line has fits in.
    const LEAST_LINE: usize = 512;

    /// The defaults: a line of 16 000 bytes, a value of 8 192, 128 fields.
    pub const fn new() -> Self {
        Self {
            // Docker splits at 16 KiB, the prefix of its own included.
            line: 16_000,
            value: 8192,
            fields: 128,
        }
    }

    /// The most bytes of a line, its newline included. Default: 16 000. Less than 512 is taken for 512.
    ///
    /// A field that does not fit into what is left of the line is left out as a whole.
    #[must_use]
    pub const fn line(mut self, bytes: usize) -> Self {
        self.line = if bytes < Self::LEAST_LINE {
            Self::LEAST_LINE
        } else {
            bytes
        };
        self
    }

    /// The most bytes of one value as written, its quotes excluded. Default: 8 192.
    ///
    /// A longer text is cut between two characters. More than five eighths of a line are taken for that.
    #[must_use]
    pub const fn value(mut self, bytes: usize) -> Self {
        self.value = bytes;
        self
    }

    /// The most fields of a line beside those of the schema. Default: 128.
    #[must_use]
    pub const fn fields(mut self, number: usize) -> Self {
        self.fields = number;
        self
    }

    pub(crate) const fn max_line(&self) -> usize {
        self.line
    }

    pub(crate) const fn max_fields(&self) -> usize {
        self.fields
    }

    /// What the longest value leaves of a line is enough for what every line has.
    pub(crate) const fn max_value(&self) -> usize {
        let most = self.line / 8 * 5;
        if self.value < most { self.value } else { most }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
