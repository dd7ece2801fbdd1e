//! What a sink does with lines, whatever its output does.

#[cfg(test)]
mod close;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod files;
#[cfg(test)]
mod flowing;
#[cfg(test)]
mod law;
#[cfg(test)]
mod output;
#[cfg(test)]
#[cfg(unix)]
mod real;
#[cfg(test)]
mod stalled;
