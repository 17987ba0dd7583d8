//! Form and query text in the extended syntax: `a[b]=1` is an object, `a[]=1&a[]=2` and `a=1&a=2` are lists
//! (webhook spec §2). The rules are those of the parser that Express uses for both.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode;
use serde_json::{Map, Value};

/// Most parameters in one text.
const PARAMETERS: usize = 1000;

/// How nested names are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Syntax {
    /// How many brackets of a name are followed.
    depth: usize,
    /// Whether a deeper name is refused; else its rest is one key.
    strict: bool,
    /// The highest index that makes a list; a higher one is a key.
    list: usize,
}

impl Syntax {
    /// For request bodies.
    pub(crate) const BODY: Self = Self {
        depth: 32,
        strict: true,
        list: 100,
    };
    /// For the part of a URL after the question mark.
    pub(crate) const QUERY: Self = Self {
        depth: 5,
        strict: false,
        list: 20,
    };
}

/// Why a text was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// More than [`PARAMETERS`] parameters.
    TooMany,
    /// A name has more brackets than are followed.
    TooDeep,
}

/// Reads `name=value&…`. A percent-sequence that is none stays as it is.
pub(crate) fn parse(text: &[u8], syntax: Syntax) -> Result<Value, Problem> {
    let mut flat: Vec<(String, Vec<String>)> = Vec::new();
    for (count, part) in text
        .split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
        .enumerate()
    {
        if count == PARAMETERS {
            return Err(Problem::TooMany);
        }
        let (name, value) = split(part);
        if name.is_empty() {
            continue;
        }
        match flat.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => flat.push((name, vec![value])),
        }
    }
    let mut root = Node::Map(Vec::new());
    for (name, values) in flat {
        root = merge(root, nest(&name, values, syntax)?);
    }
    Ok(value(root))
}

/// Name and value. The equals sign after a closing bracket counts before any other, so that a name may hold one.
fn split(part: &[u8]) -> (String, String) {
    let at = match part.windows(2).position(|pair| pair == b"]=") {
        Some(bracket) => Some(bracket + 1),
        None => part.iter().position(|byte| *byte == b'='),
    };
    match at {
        Some(at) => (decode(&part[..at]), decode(&part[at + 1..])),
        None => (decode(part), String::new()),
    }
}

fn decode(text: &[u8]) -> String {
    let spaced: Cow<'_, [u8]> = if text.contains(&b'+') {
        Cow::Owned(
            text.iter()
                .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    };
    let whole = well_formed(&spaced)
        .then(|| percent_decode(&spaced).decode_utf8().ok())
        .flatten();
    whole.map_or_else(|| String::from_utf8_lossy(&spaced).into_owned(), Cow::into_owned)
}

/// Whether every percent sign is followed by two hexadecimal digits.
pub(crate) fn well_formed(text: &[u8]) -> bool {
    text.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| {
            text.get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
}

/// A value that is being put together. A list knows its indices, because they may come in any order.
enum Node {
    Leaf(String),
    List(BTreeMap<usize, Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn list(items: impl IntoIterator<Item = Node>) -> Self {
        Self::List(items.into_iter().enumerate().collect())
    }
}

/// `a[b][]` with its values as nested nodes, the outermost a map with one key.
fn nest(name: &str, values: Vec<String>, syntax: Syntax) -> Result<Node, Problem> {
    let mut keys: Vec<&str> = Vec::new();
    let mut rest = name;
    let mut left_over = None;
    let first = bracket(name).map_or(name.len(), |(start, _)| start);
    if first > 0 {
        keys.push(&name[..first]);
        rest = &name[first..];
    }
    let mut depth = 0;
    while let Some((start, end)) = bracket(rest) {
        if depth == syntax.depth {
            if syntax.strict {
                return Err(Problem::TooDeep);
            }
            left_over = Some(format!("[{}]", &rest[start..]));
            break;
        }
        keys.push(&rest[start..end]);
        rest = &rest[end..];
        depth += 1;
    }
    keys.extend(left_over.as_deref());

    let mut values: Vec<Node> = values.into_iter().map(Node::Leaf).collect();
    let mut node = match values.len() {
        1 => values.remove(0),
        _ => Node::list(values),
    };
    for (at, key) in keys.iter().enumerate().rev() {
        let inner = key.strip_prefix('[').and_then(|key| key.strip_suffix(']'));
        node = match inner {
            Some("") if at > 0 => match node {
                list @ Node::List(_) => list,
                other => Node::list([other]),
            },
            Some(inner) if at > 0 => match index(inner).filter(|index| *index <= syntax.list) {
                Some(index) => Node::List(BTreeMap::from([(index, node)])),
                None => Node::Map(vec![(inner.to_owned(), node)]),
            },
            _ => Node::Map(vec![(inner.unwrap_or(key).to_owned(), node)]),
        };
    }
    Ok(node)
}

/// The first pair of brackets with no bracket between: from `[` to behind `]`.
fn bracket(text: &str) -> Option<(usize, usize)> {
    let mut open = None;
    for (at, byte) in text.bytes().enumerate() {
        match (byte, open) {
            (b'[', _) => open = Some(at),
            (b']', Some(start)) => return Some((start, at + 1)),
            _ => {}
        }
    }
    None
}

/// An index in its only spelling: `0`, `7`, not `07`.
fn index(text: &str) -> Option<usize> {
    let index: usize = text.parse().ok()?;
    (index.to_string() == text).then_some(index)
}

fn next_index(list: &BTreeMap<usize, Node>) -> usize {
    list.last_key_value().map_or(0, |(last, _)| last + 1)
}

/// What two parameters of the same name come to.
fn merge(target: Node, source: Node) -> Node {
    match (target, source) {
        (Node::List(mut target), Node::List(source)) => {
            for (index, item) in source {
                match target.remove(&index) {
                    None => drop(target.insert(index, item)),
                    Some(Node::Leaf(known)) => {
                        target.insert(index, Node::Leaf(known));
                        target.insert(next_index(&target), item);
                    }
                    Some(known) if matches!(item, Node::Leaf(_)) => {
                        target.insert(index, known);
                        target.insert(next_index(&target), item);
                    }
                    Some(known) => drop(target.insert(index, merge(known, item))),
                }
            }
            Node::List(target)
        }
        (Node::List(target), Node::Map(source)) => {
            let entries = target
                .into_iter()
                .map(|(index, item)| (index.to_string(), item))
                .collect();
            merge(Node::Map(entries), Node::Map(source))
        }
        (Node::List(mut target), leaf) => {
            target.insert(next_index(&target), leaf);
            Node::List(target)
        }
        (Node::Map(target), Node::List(source)) => {
            let entries = source
                .into_iter()
                .map(|(index, item)| (index.to_string(), item))
                .collect();
            merge(Node::Map(target), Node::Map(entries))
        }
        (Node::Map(mut target), Node::Map(source)) => {
            for (key, item) in source {
                match target.iter().position(|(known, _)| *known == key) {
                    None => target.push((key, item)),
                    Some(at) => {
                        let known = std::mem::replace(&mut target[at].1, Node::Leaf(String::new()));
                        target[at].1 = merge(known, item);
                    }
                }
            }
            Node::Map(target)
        }
        (Node::Map(mut target), Node::Leaf(key)) => {
            target.push((key, Node::Leaf("true".to_owned())));
            Node::Map(target)
        }
        (leaf, Node::List(source)) => Node::list(std::iter::once(leaf).chain(source.into_values())),
        (leaf, other) => Node::list([leaf, other]),
    }
}

fn value(node: Node) -> Value {
    match node {
        Node::Leaf(text) => Value::String(text),
        Node::List(items) => Value::Array(items.into_values().map(value).collect()),
        Node::Map(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(key, node)| (key, value(node)))
                .collect::<Map<_, _>>(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Problem, Syntax, parse};

    fn body(text: &str) -> Value {
        parse(text.as_bytes(), Syntax::BODY).unwrap()
    }

    #[test]
    fn extended_syntax() {
        for (text, expected) in [
            ("", json!({})),
            ("who=Ada+B", json!({"who": "Ada B"})),
            ("a=1&a=2", json!({"a": ["1", "2"]})),
            ("a[]=1&a[]=2", json!({"a": ["1", "2"]})),
            ("a[]=1", json!({"a": ["1"]})),
            ("a[b]=1", json!({"a": {"b": "1"}})),
            ("a[b]=1&a[c]=2", json!({"a": {"b": "1", "c": "2"}})),
            ("a[b][c]=1&a[b][d]=2", json!({"a": {"b": {"c": "1", "d": "2"}}})),
            ("a%5Bb%5D=1", json!({"a": {"b": "1"}})),
            ("a[1]=y&a[0]=x", json!({"a": ["x", "y"]})),
            ("a[5]=x", json!({"a": ["x"]})),
            ("a[07]=x", json!({"a": {"07": "x"}})),
            ("a[1000]=x", json!({"a": {"1000": "x"}})),
            ("a[0][b]=1&a[0][c]=2", json!({"a": [{"b": "1", "c": "2"}]})),
            ("a[]=1&a[b]=2", json!({"a": {"0": "1", "b": "2"}})),
            ("a&b=", json!({"a": "", "b": ""})),
            ("=x&&a=1", json!({"a": "1"})),
            ("a=b=c", json!({"a": "b=c"})),
            ("a[b=c]=1", json!({"a": {"b=c": "1"}})),
            ("a[=1", json!({"a[": "1"})),
            ("a=%zz&b=%C3%A9&c=%ff", json!({"a": "%zz", "b": "é", "c": "%ff"})),
            ("__proto__[x]=1", json!({"__proto__": {"x": "1"}})),
        ] {
            assert_eq!(body(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = format!("a{}=1", "[b]".repeat(40));
        assert_eq!(parse(deep.as_bytes(), Syntax::BODY), Err(Problem::TooDeep));
        assert_eq!(
            parse(b"a[b][c][d][e][f][g][h]=1", Syntax::QUERY).unwrap(),
            json!({"a": {"b": {"c": {"d": {"e": {"f": {"[g][h]": "1"}}}}}}}),
            "what lies deeper is one key"
        );
        assert_eq!(
            parse("a=1&".repeat(1001).as_bytes(), Syntax::BODY),
            Err(Problem::TooMany)
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-c=&\\[\\]%+0-2]{0,60}") {
            for syntax in [Syntax::BODY, Syntax::QUERY] {
                prop_assert!(parse(text.as_bytes(), syntax).is_ok_and(|value| value.is_object()));
            }
        }

        #[test]
        fn flat_pairs_come_back(pairs in proptest::collection::btree_map("[a-z]{1,6}", "[ -~é]{0,8}", 0..6)) {
            let encode = |text: &str| -> String {
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
            };
            let text: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect();
            let expected: serde_json::Map<_, _> = pairs.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
            prop_assert_eq!(body(&text.join("&")), Value::Object(expected));
        }
    }
}
