//! What a pickle imports and calls, and what there is to say about it.

use std::cell::Cell;
use std::rc::Rc;

use crate::scan::finding::Severity;
use crate::scan::text::clip;

use super::super::imports::{Judgement, judge};
use super::super::input::Stop;
use super::super::value::{Import, Value, is_name};
use super::Walker;

/// Different imports in one pickle; whole models have some hundreds.
const MAX_IMPORTS: usize = 10_000;

impl Walker<'_, '_, '_> {
    pub(super) fn import(&mut self, module: &str, name: &str) -> Result<Value, Stop> {
        if !is_name(module) || !is_name(name) {
            self.unresolved();
            return Ok(Value::Other);
        }
        let key = (module.to_owned(), name.to_owned());
        if let Some(known) = self.imports.get(&key) {
            return Ok(Value::Import(Rc::clone(known)));
        }
        if self.imports.len() >= MAX_IMPORTS {
            return Err(Stop::Malformed(format!(
                "it imports more than {MAX_IMPORTS} different names"
            )));
        }
        let judgement = judge(module, name);
        let import = Rc::new(Import {
            module: key.0.clone(),
            name: key.1.clone(),
            judgement,
            reported: Cell::new(false),
        });
        if let Judgement::Dangerous(why) = judgement {
            import.reported.set(true);
            let message = format!(
                "imports {}, which {why}, when the file is loaded",
                shown(&import)
            );
            self.found(Severity::Critical, "dangerous-import", message);
        }
        self.imports.insert(key, Rc::clone(&import));
        Ok(Value::Import(import))
    }

    pub(super) fn unresolved(&mut self) {
        let message = "imports something whose name is computed or misshapen; honest pickles name their imports";
        self.found(Severity::High, "unresolved-import", message);
    }

    pub(super) fn call(&mut self, callable: &Value, arguments: &[Value]) {
        match callable {
            Value::Import(import) => self.used(import),
            _ if self.flaw.is_some() || self.computed_call_reported => {}
            _ => {
                self.computed_call_reported = true;
                let message = "calls something other than an import: the outcome of another call, or plain data";
                self.found(Severity::High, "computed-call", message);
            }
        }
        // `copyreg._reconstructor(cls, …)` and its like call what they are given.
        for argument in arguments {
            match argument {
                Value::Import(import) => self.used(import),
                Value::Tuple(imports) => imports.iter().for_each(|import| self.used(import)),
                _ => {}
            }
        }
    }

    pub(super) fn used(&mut self, import: &Import) {
        if import.judgement == Judgement::Unknown && !import.reported.replace(true) {
            let message = format!(
                "calls {}, which is not known to be harmless: loading the file runs that code",
                shown(import)
            );
            self.found(Severity::Medium, "unknown-import", message);
        }
    }
}

fn shown(import: &Import) -> String {
    format!("{}.{}", clip(&import.module, 120), clip(&import.name, 120))
}
