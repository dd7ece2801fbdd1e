//! One pickle, opcode by opcode, on an abstract stack: nothing is imported and nothing is called.

mod arguments;
mod calls;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::input::{Input, Stop};
use super::opcodes::{Argument, argument, code};
use super::value::{Import, MAX_NAME, Value};
use crate::scan::finding::Severity;
use crate::scan::limits::Limits;
use crate::scan::report::Report;

/// Imports remembered of one tuple; a call's arguments hold one or two.
const MAX_TUPLE: usize = 16;

/// What all pickles of one stream share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) limits: &'a Limits,
    pub(super) opcodes: u64,
    pub(super) names: Rc<Cell<usize>>,
}

pub(super) struct Walker<'w, 'i, 's> {
    input: &'w mut Input<'i>,
    shared: &'w mut Shared<'s>,
    place: &'w str,
    depth: usize,
    report: Report,
    stack: Vec<Value>,
    memo: HashMap<u64, Value>,
    imports: HashMap<(String, String), Rc<Import>>,
    /// Number of the opcode at hand, from 1.
    opcode: u64,
    /// Where it starts.
    at: u64,
    /// The first thing CPython would have refused. Walking goes on regardless: stopping sooner than CPython would let a
    /// crafted file hide what follows.
    flaw: Option<String>,
    computed_call_reported: bool,
}

impl<'w, 'i, 's> Walker<'w, 'i, 's> {
    pub(super) fn new(
        input: &'w mut Input<'i>,
        shared: &'w mut Shared<'s>,
        place: &'w str,
        depth: usize,
        report: Report,
    ) -> Self {
        Self {
            input,
            shared,
            place,
            depth,
            report,
            stack: Vec::new(),
            memo: HashMap::new(),
            imports: HashMap::new(),
            opcode: 0,
            at: 0,
            flaw: None,
            computed_call_reported: false,
        }
    }

    /// Walks up to STOP; gives back what was found also when that is not reached.
    pub(super) fn run(mut self) -> (Report, Result<(), Stop>) {
        let end = loop {
            match self.step() {
                Ok(true) => {
                    break self
                        .flaw
                        .take()
                        .map_or(Ok(()), |flaw| Err(Stop::Malformed(flaw)));
                }
                Ok(false) => {}
                Err(stop) => break Err(stop),
            }
        };
        (self.report, end)
    }

    fn location(&self) -> String {
        format!("{}:opcode {} (byte {})", self.place, self.opcode, self.at)
    }

    fn found(&mut self, severity: Severity, rule: &'static str, message: impl Into<String>) {
        let location = self.location();
        self.report.add(severity, rule, location, message);
    }

    fn step(&mut self) -> Result<bool, Stop> {
        self.at = self.input.position();
        let opcode = self.input.byte()?;
        self.opcode = self.opcode.saturating_add(1);
        let Some(argument) = argument(opcode) else {
            return Err(Stop::Malformed(format!(
                "byte {} is 0x{opcode:02x}, which is no pickle opcode",
                self.at
            )));
        };
        let limits = self.shared.limits;
        self.shared.opcodes = self.shared.opcodes.saturating_add(1);
        if self.shared.opcodes > limits.max_opcodes {
            return Err(Stop::Limit("max_opcodes", limits.max_opcodes));
        }
        match argument {
            Argument::None => return self.plain(opcode),
            Argument::Fixed(width) => {
                let value = self.input.number(width)?;
                self.fixed(opcode, value)?;
            }
            Argument::Line => self.line(opcode)?,
            Argument::TwoLines => {
                // One byte more than fits, so that a name that is too long is seen to be.
                let (module, _) = self.input.line(MAX_NAME + 1)?;
                let (name, _) = self.input.line(MAX_NAME + 1)?;
                let module = String::from_utf8_lossy(&module).into_owned();
                let name = String::from_utf8_lossy(&name).into_owned();
                let group = if opcode == code::INST {
                    Some(self.group())
                } else {
                    None
                };
                let imported = self.import(&module, &name)?;
                if let Some(arguments) = group {
                    self.call(&imported, &arguments);
                    self.push(Value::Result)?;
                } else {
                    self.push(imported)?;
                }
            }
            Argument::Counted(width) => self.counted(opcode, width)?,
        }
        Ok(false)
    }

    fn plain(&mut self, opcode: u8) -> Result<bool, Stop> {
        match opcode {
            code::STOP => {
                self.pop();
                return Ok(true);
            }
            code::MARK => self.push(Value::Mark)?,
            code::POP => {
                // The one opcode that may take a mark.
                if self.stack.pop().is_none() {
                    self.flawed("takes from an empty stack");
                }
            }
            code::POP_MARK | code::APPENDS | code::SETITEMS | code::ADDITEMS => {
                self.group();
            }
            code::DUP => {
                let top = self.stack.last().cloned().unwrap_or(Value::Other);
                self.push(top)?;
            }
            code::APPEND => {
                self.pop();
            }
            code::SETITEM => {
                self.pop();
                self.pop();
            }
            code::LIST | code::DICT | code::FROZENSET => {
                self.group();
                self.push(Value::Other)?;
            }
            code::TUPLE => {
                let items = self.group();
                self.push(tuple(&items))?;
            }
            code::TUPLE1 | code::TUPLE2 | code::TUPLE3 => {
                let items: Vec<_> = (code::TUPLE1..=opcode).map(|_| self.pop()).collect();
                self.push(tuple(&items))?;
            }
            code::BUILD => {
                let state = self.pop();
                let target = self.pop();
                // On an import itself this sets that class's or function's attributes.
                if let Value::Import(import) = &target {
                    self.used(import);
                }
                drop(state);
                self.push(target)?;
            }
            code::REDUCE | code::NEWOBJ => {
                let arguments = self.pop();
                let callable = self.pop();
                self.call(&callable, &[arguments]);
                self.push(Value::Result)?;
            }
            code::NEWOBJ_EX => {
                let arguments = [self.pop(), self.pop()];
                let callable = self.pop();
                self.call(&callable, &arguments);
                self.push(Value::Result)?;
            }
            code::OBJ => {
                let items = self.group();
                if let Some((callable, arguments)) = items.split_first() {
                    self.call(callable, arguments);
                } else {
                    self.flawed("builds an object of no class");
                }
                self.push(Value::Result)?;
            }
            code::STACK_GLOBAL => {
                let name = self.pop();
                let module = self.pop();
                let imported = if let (Value::Name(module), Value::Name(name)) = (&module, &name) {
                    self.import(module.as_str(), name.as_str())?
                } else {
                    self.unresolved();
                    Value::Other
                };
                self.push(imported)?;
            }
            code::MEMOIZE => self.memoise(self.memo.len() as u64)?,
            code::BINPERSID => {
                self.pop();
                self.push(Value::Other)?;
            }
            code::READONLY_BUFFER => {}
            // NONE, NEWTRUE, NEWFALSE, EMPTY_LIST, EMPTY_TUPLE, EMPTY_DICT, EMPTY_SET, NEXT_BUFFER.
            _ => self.push(Value::Other)?,
        }
        Ok(false)
    }

    fn push(&mut self, value: Value) -> Result<(), Stop> {
        let limit = self.shared.limits.max_stack;
        if self.stack.len() >= limit {
            return Err(Stop::Limit("max_stack", limit as u64));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Value {
        match self.stack.pop() {
            None => {
                self.flawed("takes from an empty stack");
                Value::Other
            }
            Some(Value::Mark) => {
                self.flawed("takes a mark for a value");
                Value::Other
            }
            Some(value) => value,
        }
    }

    /// Everything above the last mark, and the mark.
    fn group(&mut self) -> Vec<Value> {
        let mark = self
            .stack
            .iter()
            .rposition(|value| matches!(value, Value::Mark));
        if mark.is_none() {
            self.flawed("has no mark to go back to");
        }
        let items = self
            .stack
            .split_off(mark.map_or(0, |mark| mark.saturating_add(1)));
        self.stack.truncate(mark.unwrap_or_default());
        items
    }

    fn memoise(&mut self, key: u64) -> Result<(), Stop> {
        let limit = self.shared.limits.max_memo;
        if self.memo.len() >= limit && !self.memo.contains_key(&key) {
            return Err(Stop::Limit("max_memo", limit as u64));
        }
        let Some(value) = self.stack.last().cloned() else {
            self.flawed("memoises from an empty stack");
            return Ok(());
        };
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), Stop> {
        let value = self.memo.get(&key).cloned();
        if value.is_none() {
            self.flawed("recalls what was never memoised");
        }
        self.push(value.unwrap_or(Value::Other))
    }

    fn flawed(&mut self, what: &str) {
        if self.flaw.is_none() {
            self.flaw = Some(format!("opcode {} at byte {} {what}", self.opcode, self.at));
        }
    }
}

fn tuple(items: &[Value]) -> Value {
    let mut imports = Vec::new();
    for item in items {
        match item {
            Value::Import(import) => imports.push(Rc::clone(import)),
            Value::Tuple(inner) => imports.extend(inner.iter().map(Rc::clone)),
            _ => {}
        }
        imports.truncate(MAX_TUPLE);
    }
    if imports.is_empty() {
        Value::Other
    } else {
        Value::Tuple(imports.into())
    }
}
