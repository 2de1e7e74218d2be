//! The `where` filter: a CEL expression over one variable, `event`, that decides whether the event is kept.
//!
//! An expression is compiled once; errors in it are reported then, with the place marked. Evaluation reads only the
//! members that the expression names, so an expression over the envelope costs the same however large the bodies are.
//!
//! The filter rather keeps an event too many: if the expression fails on an event, the event is kept and the caller
//! counts the failure. A member that the event does not have is such a failure, as in Kubernetes' own CEL: ask
//! `has(event.objectRef)` first, or write `event.?objectRef.?resource.orValue("")`. As everywhere in CEL, `false &&
//! failure` is false, and `true || failure` is true. Error messages never contain a value of the event, because it
//! may be a secret.
//!
//! Not supported: time zones (times are in UTC), computed patterns, comparing objects of the event with each other.

use std::sync::Arc;
use std::thread;

use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};

use super::step::{EventWork, TransformAction, TransformStep};
use crate::event::{Form, Record};

mod check;
mod legacy;
mod place;
mod root;
mod schema;
#[cfg(test)]
mod tests;
mod time;
mod value;

use check::Check;
pub(super) use place::FilterError;
use root::EventValue;
use value::Scan;

/// The longest expression accepted, in bytes.
const LENGTH: usize = 8192;
/// Stack size of the parser's own thread, in bytes. The parser recurses, and how much stack that takes depends on the
/// build.
const STACK: usize = 64 << 20;

/// A compiled expression.
pub struct Filter {
    text: String,
    expression: IdedExpr,
    context: Context<'static, 'static>,
}

/// Only events that pass all of them are kept.
#[derive(Default)]
pub struct Filters(pub Vec<Filter>);

impl TransformStep for Filters {
    const ACTIONS: &'static [TransformAction] = &[
        TransformAction::new(Some("filtered"), "dropped: where"),
        TransformAction::new(Some("filter_failed"), "kept: where failed"),
    ];

    /// If a filter fails, the event is kept: an audit trail errs on the side of shipping.
    fn keeps(&self, work: &mut EventWork<'_>) -> bool {
        let kept = self.0.iter().all(|filter| {
            filter.keeps(work.record).unwrap_or_else(|problem| {
                work.did(1);
                *work.problem = Some(problem);
                true
            })
        });
        if !kept {
            work.did(0);
        }
        kept
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filter")
    }
}

impl Filter {
    /// Parses an expression. The error marks the place of the problem.
    pub fn compile(expression: &str) -> Result<Self, FilterError> {
        if expression.len() > LENGTH {
            let message = format!("it has {} bytes, and {LENGTH} is the most", expression.len());
            return Err(FilterError::at(expression, 0, message));
        }
        let broken = || FilterError::at(expression, 0, "it cannot be read");
        thread::scope(|scope| {
            let compiler = thread::Builder::new().name("filter".into()).stack_size(STACK);
            // If the parser panics, the expression counts as unparsable.
            let handle = compiler.spawn_scoped(scope, || Self::read(expression));
            handle.map_err(|_| broken())?.join().unwrap_or_else(|_| Err(broken()))
        })
    }

    fn read(text: &str) -> Result<Self, FilterError> {
        let mut env = Env::stdlib();
        let missing = |error| FilterError::at(text, 0, format!("no functions: {error}"));
        time::add(&mut env).map_err(missing)?;
        let (mut expression, places) = env
            .parser()
            .parse_with_source_info(text)
            .map_err(|errors| FilterError::parsing(text, &errors))?;
        let mut check = Check::default();
        check.filter(&mut expression).map_err(|(id, message)| {
            let place = places.offset_for(id).map_or(0, |(start, _)| start as usize);
            FilterError::at(text, place, message)
        })?;
        let mut context = Context::with_env(Arc::new(env));
        let patterns = check.patterns;
        let matches = move |cel::extractors::This(text): cel::extractors::This<Arc<String>>,
                            pattern: Arc<String>| {
            patterns.get(pattern.as_str()).is_some_and(|pattern| pattern.is_match(&text))
        };
        context.add_function("matches", matches).map_err(missing)?;
        Ok(Self { text: text.to_owned(), expression, context })
    }

    /// Whether to keep an event. On an error the caller keeps the event and counts the failure; the message holds no
    /// value of the event.
    pub fn keeps(&self, record: &Record<'_>) -> Result<bool, String> {
        match record.event.form {
            Form::Json => self.evaluate(record),
            Form::Legacy => legacy::as_json(record, |record| self.evaluate(record)),
            Form::Unreadable => Err("the line cannot be read".into()),
        }
    }

    fn evaluate(&self, record: &Record<'_>) -> Result<bool, String> {
        let scan = Scan::new(record.line.len());
        let root: &Context<'_, '_> = &self.context;
        let mut context = root.new_inner_scope();
        context.add_variable_as_val("event", Box::new(EventValue { record: *record, scan: &scan }));
        let result = Value::resolve_val(&self.expression, &context);
        if let Some(trouble) = scan.trouble() {
            return Err(trouble.into());
        }
        match result {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(kept) => Ok(*kept.inner()),
                None => Err(format!("it is of type {}, not bool", value.get_type().name())),
            },
            Err(error) => Err(self.plain(&error)),
        }
    }

    /// The failure without any value of the event; the messages of the CEL crate print values.
    fn plain(&self, error: &ExecutionError) -> String {
        match error {
            // The key may have been taken from the event.
            ExecutionError::NoSuchKey(name) if !self.text.contains(name.as_str()) => {
                "the event has no such member there".into()
            }
            ExecutionError::NoSuchKey(name) => format!("the event has no `{name}` there"),
            ExecutionError::NoSuchOverload(error) => error.to_string(),
            ExecutionError::UndeclaredReference(name) => format!("`{name}` is not known"),
            ExecutionError::IndexOutOfBounds(_) => "a list has no such element".into(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "division by zero".into()
            }
            ExecutionError::Overflow(..) => "a number is too large".into(),
            ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
            _ => "values of the wrong types".into(),
        }
    }
}
