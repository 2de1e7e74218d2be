//! Values of an event for CEL. A member is looked up in the line only when the expression asks for it.
//!
//! Objects and lists are not copied and there is no recursion, so the cost of a body of ten thousand levels depends
//! only on its length. Some members are ambiguous: broken text, a number beyond every type, a duplicate key that
//! other readers may resolve differently. They are recorded as trouble, and the event is then kept whatever the
//! expression says.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::ExecutionError;
use cel::common::traits::{self, Container, Indexer, Iterable, Sizer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelUInt, LIST_TYPE, MAP_TYPE,
    Type,
};
use cel::common::value::{CowVal, Val};

use crate::json::{skip, string, visit_elements, visit_members};

/// Elements of the longest list that is iterated; each takes about fifty bytes of memory.
const ITEMS: usize = 1 << 16;
/// The cost of one iteration of a loop, in bytes walked over.
const STEP: usize = 16;

pub(super) type Boxed<'v> = Box<dyn Val + 'v>;

/// The remaining budget of an evaluation, and the first trouble in it.
#[derive(Debug)]
pub(super) struct Scan {
    left: AtomicUsize,
    trouble: OnceLock<&'static str>,
}

impl Scan {
    /// The budget in bytes walked over for an event: a multiple of its line, and a minimum for short lines.
    pub(super) fn new(line: usize) -> Self {
        let left = line.saturating_mul(64).saturating_add(1 << 20);
        Self { left: AtomicUsize::new(left), trouble: OnceLock::new() }
    }

    pub(super) fn trouble(&self) -> Option<&'static str> {
        self.trouble.get().copied()
    }

    fn fail(&self, what: &'static str) -> ExecutionError {
        let _ = self.trouble.set(what);
        ExecutionError::function_error("event", what)
    }

    /// After trouble nothing is read any more, because loops continue after an error.
    fn spend(&self, bytes: usize) -> Result<(), ExecutionError> {
        if let Some(trouble) = self.trouble() {
            return Err(self.fail(trouble));
        }
        let left = self.left.load(Ordering::Relaxed);
        let Some(rest) = left.checked_sub(bytes) else {
            return Err(self.fail("it costs too much on so large an event"));
        };
        self.left.store(rest, Ordering::Relaxed);
        Ok(())
    }
}

/// An object or list in the line.
pub(super) struct Node<'v> {
    line: &'v [u8],
    from: usize,
    list: bool,
    scan: &'v Scan,
    /// The elements of a list or the keys of an object, read on the first iteration.
    items: OnceLock<Vec<Boxed<'v>>>,
}

impl<'v> Node<'v> {
    fn items(&self) -> &[Boxed<'v>] {
        self.items.get_or_init(|| self.read_items().unwrap_or_default())
    }

    fn read_items(&self) -> Result<Vec<Boxed<'v>>, ExecutionError> {
        let mut items: Vec<Boxed<'v>> = Vec::new();
        let mut result = Ok(());
        let mut take = |item: Result<(Boxed<'v>, usize), ExecutionError>| match item {
            Ok(_) if items.len() == ITEMS => {
                result = Err(self.scan.fail("it goes through too long a list"));
                None
            }
            Ok((item, end)) => {
                items.push(item);
                Some(end)
            }
            Err(error) => {
                result = Err(error);
                None
            }
        };
        let end = if self.list {
            visit_elements(self.line, self.from, |at| take(value(self.line, at, self.scan)))
        } else {
            visit_members(self.line, self.from, |member| {
                take(value(self.line, member.at, self.scan))?;
                skip(self.line, member.value)
            })
        };
        result?;
        let end = end.ok_or_else(|| self.scan.fail(UNREADABLE))?;
        self.scan.spend(end - self.from)?;
        Ok(items)
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.list { "a list" } else { "an object" })
    }
}

impl Val for Node<'_> {
    fn get_type(&self) -> &Type {
        if self.list { &LIST_TYPE } else { &MAP_TYPE }
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    /// Compares with a list or map that is a literal or was made by the expression.
    fn equals(&self, other: &dyn Val) -> bool {
        if let Some(list) = other.downcast_ref::<CelList>() {
            let (own, others) = (self.items(), list.inner());
            return self.list
                && own.len() == others.len()
                && own.iter().zip(others.iter()).all(|(own, other)| own.equals(other.as_ref()));
        }
        if let Some(map) = other.downcast_ref::<CelMap>() {
            return !self.list
                && self.items().len() == map.inner().len()
                && map.inner().iter().all(|(key, other)| {
                    self.get(key.inner()).is_ok_and(|own| own.equals(other.as_ref()))
                });
        }
        if other.get_type().kind() == self.get_type().kind() {
            let _ = self.scan.fail("two objects or lists of an event cannot be compared");
        }
        false
    }

    fn clone_as_boxed<'w>(&self) -> Boxed<'w>
    where
        Self: 'w,
    {
        let Self { line, from, list, scan, .. } = *self;
        Box::new(Self { line, from, list, scan, items: OnceLock::new() })
    }
}

impl Indexer for Node<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        if self.list {
            let Some(index) = key.downcast_ref::<CelInt>() else {
                return Err(ExecutionError::no_such_overload("_[_]", vec!["list".into()]));
            };
            let item = usize::try_from(*index.inner()).ok().and_then(|at| self.items().get(at));
            return item
                .map(|item| CowVal::Borrowed(item.as_ref() as &'b (dyn Val + 'w)))
                .ok_or_else(|| ExecutionError::IndexOutOfBounds((*index.inner()).into()));
        }
        let name = name(key)?;
        let found = member(self.line, self.from, name, self.scan)?;
        found.map(|value| CowVal::Owned(value as Boxed<'w>)).ok_or_else(|| no_such(name))
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Boxed<'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Container for Node<'_> {
    fn contains(&self, wanted: &dyn Val) -> Result<bool, ExecutionError> {
        if self.list {
            return Ok(self.items().iter().any(|item| item.equals(wanted)));
        }
        Ok(member(self.line, self.from, name(wanted)?, self.scan)?.is_some())
    }
}

impl Sizer for Node<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.items().len()).unwrap_or(i64::MAX))
    }
}

impl Iterable for Node<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Items(self.items().iter(), self.scan))
    }
}

struct Items<'b, 'v>(std::slice::Iter<'b, Boxed<'v>>, &'v Scan);

impl<'b, 'v: 'w, 'w> traits::Iterator<'b, 'w> for Items<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.1.spend(STEP).ok()?;
        self.0.next().map(|item| item.as_ref() as &'b (dyn Val + 'w))
    }
}

const UNREADABLE: &str = "it asks for a part of the event that is not proper JSON";
const REPEATED: &str = "it asks for a member that the event has twice";

pub(super) fn name(key: &dyn Val) -> Result<&str, ExecutionError> {
    let name = key.downcast_ref::<CelString<'_>>();
    name.map(CelString::inner)
        .ok_or_else(|| ExecutionError::no_such_overload("_[_]", vec!["map".into()]))
}

pub(super) fn no_such(name: &str) -> ExecutionError {
    ExecutionError::no_such_key(name)
}

/// Looks up a member of the object that begins at `from`.
pub(super) fn member<'v>(
    line: &'v [u8],
    from: usize,
    name: &str,
    scan: &'v Scan,
) -> Result<Option<Boxed<'v>>, ExecutionError> {
    scan.spend(0)?;
    let (mut found, mut twice) = (None, false);
    let end = visit_members(line, from, |member| {
        if member.is(name) {
            twice |= found.is_some();
            found = Some(member.value);
        }
        skip(line, member.value)
    });
    let end = end.ok_or_else(|| scan.fail(UNREADABLE))?;
    scan.spend(end - from)?;
    if twice {
        return Err(scan.fail(REPEATED));
    }
    found.map(|at| value(line, at, scan).map(|(value, _)| value)).transpose()
}

/// The value that begins at `from`, and its end.
pub(super) fn value<'v>(
    line: &'v [u8],
    from: usize,
    scan: &'v Scan,
) -> Result<(Boxed<'v>, usize), ExecutionError> {
    scan.spend(0)?;
    let unreadable = || scan.fail(UNREADABLE);
    let end = skip(line, from).ok_or_else(unreadable)?;
    let boxed: Boxed<'v> = match line[from] {
        b'"' => {
            let inside = string(line, from).ok_or_else(unreadable)?;
            Box::new(CelString::from(text(line, inside).ok_or_else(unreadable)?))
        }
        first @ (b'{' | b'[') => {
            scan.spend(end - from)?;
            Box::new(Node { line, from, list: first == b'[', scan, items: OnceLock::new() })
        }
        _ => scalar(&line[from..end]).ok_or_else(unreadable)?,
    };
    Ok((boxed, end))
}

fn text(line: &[u8], inside: std::ops::Range<usize>) -> Option<Cow<'_, str>> {
    let raw = &line[inside.clone()];
    if raw.contains(&b'\\') {
        return serde_json::from_slice(&line[inside.start - 1..=inside.end]).ok().map(Cow::Owned);
    }
    std::str::from_utf8(raw).ok().map(Cow::Borrowed)
}

fn scalar<'v>(raw: &[u8]) -> Option<Boxed<'v>> {
    Some(match raw {
        b"true" => Box::new(CelBool::from(true)),
        b"false" => Box::new(CelBool::from(false)),
        b"null" => Box::new(CelNull),
        _ => match serde_json::from_slice(raw).ok()? {
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Box::new(CelInt::from(int)),
                (_, Some(uint)) => Box::new(CelUInt::from(uint)),
                // A whole number this large would change its value as a double.
                _ if !raw.iter().any(|byte| b".eE".contains(byte)) => return None,
                _ => Box::new(CelDouble::from(number.as_f64()?)),
            },
            _ => return None,
        },
    })
}
