//! Checks a filter when it is loaded: names that do not exist, comparisons that can never hold, results that are not
//! boolean, invalid patterns.
//!
//! Anything that depends on an event (such as the contents of a body) is left to the evaluation.

use std::collections::HashMap;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};
use regex::{Regex, RegexBuilder};

use super::schema::{EVENT, FUNCTIONS, TYPE_NAMES, Type, hint};

/// Deeper expressions are refused, because the evaluation recurses.
const DEPTH: u32 = 48;
/// Deepest nesting of loops; nested loops multiply the cost of a filter.
const LOOPS: usize = 2;
/// Maximum size of a compiled pattern, in bytes.
const PATTERN: usize = 1 << 20;

/// The id of the wrong expression, and the message.
pub(super) type Wrong = (u64, String);
type TypeResult = Result<Type, Wrong>;

/// The state of the check.
#[derive(Default)]
pub(super) struct Check {
    /// The variables of the enclosing loops, and their types.
    scope: Vec<(String, Type)>,
    loops: usize,
    depth: u32,
    /// The patterns of `matches`, compiled.
    pub(super) patterns: HashMap<String, Regex>,
}

impl Check {
    /// Checks a whole filter, and swaps the operands of comparisons that would not work otherwise.
    pub(super) fn filter(&mut self, root: &mut IdedExpr) -> Result<(), Wrong> {
        match self.expr(root)? {
            Type::Bool | Type::Unknown => Ok(()),
            other => {
                let word = other.word().unwrap_or_default();
                Err((root.id, format!("it is {word}, and a filter is true or false")))
            }
        }
    }

    fn expr(&mut self, expr: &mut IdedExpr) -> TypeResult {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err((expr.id, format!("it is nested more than {DEPTH} levels deep")));
        }
        let id = expr.id;
        let found = match &mut expr.expr {
            Expr::Unspecified => Err((id, "it is empty".into())),
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.ident(id, name),
            Expr::Select(select) => self.select(id, select),
            Expr::Call(call) => self.call(id, call),
            Expr::Comprehension(comprehension) => self.comprehension(id, comprehension),
            Expr::List(list) => {
                list.elements.iter_mut().try_for_each(|element| self.expr(element).map(drop))?;
                Ok(Type::List)
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.expr(&mut entry.key)?;
                            self.expr(&mut entry.value)?;
                        }
                        EntryExpr::StructField(_) => return Err((id, NO_MESSAGES.into())),
                    }
                }
                Ok(Type::Map)
            }
            Expr::Struct(_) => Err((id, NO_MESSAGES.into())),
        };
        self.depth -= 1;
        found
    }

    fn ident(&self, id: u64, name: &str) -> TypeResult {
        if let Some((_, found)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(*found);
        }
        match name {
            "event" => Ok(EVENT),
            _ if TYPE_NAMES.contains(&name) => Ok(Type::Other),
            _ => {
                Err((id, format!("`{name}` is not known: a filter sees `event` and nothing else")))
            }
        }
    }

    fn select(&mut self, id: u64, select: &mut SelectExpr) -> TypeResult {
        let found = self.expr(&mut select.operand)?;
        let found = member(id, found, &select.field)?;
        Ok(if select.test { Type::Bool } else { found })
    }

    fn comprehension(&mut self, id: u64, loops: &mut ComprehensionExpr) -> TypeResult {
        let range = self.expr(&mut loops.iter_range)?;
        let item = match range {
            Type::Strings | Type::Map | Type::Texts | Type::Object(_) => Type::String,
            Type::List | Type::Unknown => Type::Unknown,
            other => {
                let word = other.word().unwrap_or_default();
                return Err((
                    loops.iter_range.id,
                    format!("it is {word}: there is nothing to go through"),
                ));
            }
        };
        self.loops += 1;
        if self.loops > LOOPS {
            return Err((
                id,
                format!("more than {LOOPS} loops inside of each other cost too much"),
            ));
        }
        let first = self.expr(&mut loops.accu_init)?;
        let outer = self.scope.len();
        self.scope.push((loops.accu_var.clone(), first));
        self.scope.push((loops.iter_var.clone(), item));
        self.scope.extend(loops.iter_var2.clone().map(|name| (name, Type::Unknown)));
        self.expr(&mut loops.loop_cond)?;
        self.expr(&mut loops.loop_step)?;
        let found = self.expr(&mut loops.result);
        self.scope.truncate(outer);
        self.loops -= 1;
        found
    }

    fn call(&mut self, id: u64, call: &mut CallExpr) -> TypeResult {
        if call.target.as_ref().is_some_and(|target| is_ident(target, "optional")) {
            call.args.iter_mut().try_for_each(|arg| self.expr(arg).map(drop))?;
            return Ok(Type::Other);
        }
        let target = match &mut call.target {
            Some(target) => Some(self.expr(target)?),
            None => None,
        };
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &mut call.args {
            args.push(self.expr(arg)?);
        }
        match (call.func_name.as_str(), &args[..]) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _) => {
                Self::truths(call, &args)?;
                Ok(Type::Bool)
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                comparable(id, *left, *right)?;
                turn(call);
                Ok(Type::Bool)
            }
            (operators::CONDITIONAL, [_, yes, no]) => {
                Self::truths(call, &args[..1])?;
                Ok(if yes.word() == no.word() { *yes } else { Type::Unknown })
            }
            (operators::IN, [_, right]) => match right {
                Type::Bool | Type::String | Type::Number | Type::Time | Type::Length => {
                    let word = right.word().unwrap_or_default();
                    Err((call.args[1].id, format!("nothing can be in it: it is {word}")))
                }
                _ => Ok(Type::Bool),
            },
            (operators::INDEX, [of, _]) => match (of, text(&call.args[1])) {
                (Type::Object(_), Some(name)) => member(id, *of, &name),
                (Type::Strings | Type::Texts, _) => Ok(Type::String),
                _ => Ok(Type::Unknown),
            },
            (operators::OPT_SELECT, [of, _]) => {
                if let Some(name) = text(&call.args[1]) {
                    member(id, *of, &name)?;
                }
                Ok(Type::Unknown)
            }
            (
                operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                [left, right],
            ) => {
                comparable(id, *left, *right)?;
                Ok(Type::Bool)
            }
            ("startsWith" | "endsWith" | "contains" | "matches", _) => {
                self.on_string(id, call, target.unwrap_or(Type::Unknown))
            }
            (name, _) => function(id, name),
        }
    }

    /// Checks the operands of `&&`, `||`, `!` and `?`.
    fn truths(call: &CallExpr, args: &[Type]) -> Result<(), Wrong> {
        for (arg, found) in call.args.iter().zip(args) {
            if !matches!(found, Type::Bool | Type::Unknown) {
                let word = found.word().unwrap_or_default();
                return Err((arg.id, format!("it is {word}, and true or false is asked for here")));
            }
        }
        Ok(())
    }

    fn on_string(&mut self, id: u64, call: &CallExpr, on: Type) -> TypeResult {
        let name = call.func_name.as_str();
        if !on.fits(Type::String) {
            let word = on.word().unwrap_or_default();
            return Err((id, format!("`{name}` asks for a string, and this is {word}")));
        }
        if name == "matches" { self.pattern(id, call) } else { Ok(Type::Bool) }
    }

    /// Compiles the pattern of `matches`, which must be a literal, so that it is compiled once and not for every
    /// event.
    fn pattern(&mut self, id: u64, call: &CallExpr) -> TypeResult {
        let Some(pattern) = call.args.last().and_then(text) else {
            return Err((id, "the pattern of `matches` has to be written out, in quotes".into()));
        };
        match RegexBuilder::new(&pattern).size_limit(PATTERN).build() {
            Ok(regex) => {
                self.patterns.insert(pattern, regex);
                Ok(Type::Bool)
            }
            Err(error) => {
                let error = error.to_string();
                let last = error.lines().last().unwrap_or_default();
                let what = last.strip_prefix("error: ").unwrap_or(last);
                let at = call.args.last().map_or(id, |arg| arg.id);
                Err((at, format!("the pattern cannot be read: {what}")))
            }
        }
    }
}

const NO_MESSAGES: &str = "there are no messages here: write a map, {\"key\": value}";

fn is_ident(expr: &IdedExpr, name: &str) -> bool {
    matches!(&expr.expr, Expr::Ident(ident) if ident == name)
}

/// The text of a string literal.
fn text(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::String(_) => Type::String,
        LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => Type::Number,
        LiteralValue::Bytes(_) | LiteralValue::Null => Type::Other,
    }
}

/// The type of a member of a value.
fn member(id: u64, of: Type, name: &str) -> TypeResult {
    match of {
        Type::Object(members) => {
            let found = members.iter().find(|(known, _)| *known == name);
            found.map(|(_, found)| *found).ok_or_else(|| {
                let hint = hint(name, members.iter().map(|(known, _)| *known));
                (id, format!("no event has `{name}` here{hint}"))
            })
        }
        Type::Texts => Ok(Type::String),
        Type::Map | Type::Unknown | Type::Other => Ok(Type::Unknown),
        other => {
            let word = other.word().unwrap_or_default();
            Err((id, format!("there is no `{name}` in it: it is {word}")))
        }
    }
}

/// The type that a function returns.
fn function(id: u64, name: &str) -> TypeResult {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, found)| *found).ok_or_else(|| {
        let names = FUNCTIONS.iter().map(|(known, _)| *known);
        let names = names.filter(|known| known.starts_with(char::is_alphabetic));
        (id, format!("there is no function `{name}`{}", hint(name, names)))
    })
}

fn comparable(id: u64, left: Type, right: Type) -> Result<(), Wrong> {
    match (left.word(), right.word()) {
        (Some(one), Some(other)) if !left.fits(right) => {
            Err((id, format!("{one} and {other} are never the same, nor one more than the other")))
        }
        _ => Ok(()),
    }
}

/// Moves a literal list or map to the right-hand side: values of an event can compare themselves with it, but not the
/// other way round.
fn turn(call: &mut CallExpr) {
    if matches!(call.args[0].expr, Expr::List(_) | Expr::Map(_)) {
        call.args.swap(0, 1);
    }
}
