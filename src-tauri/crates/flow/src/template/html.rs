//! HTML of the editor's rich fields into Markdown, as Turndown 7.2 does it with escaping switched off
//! (semantics §7.2): parse, collapse white space, then write the tree.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{Attribute, ExpandedName, ParseOpts, QualName, local_name, ns, parse_fragment};

use crate::js;

/// Longer texts stay as they are: no person writes them, and the time that deep nesting takes grows faster than
/// the text.
const LONGEST: usize = 64 * 1024;

/// Deeper elements contribute their text only, so that writing never runs out of stack.
const DEEPEST: usize = 96;

/// No heading is underlined further than this: headings inside one another double the text, each of them.
const LONGEST_LINE: usize = 1000;

const BEGINNINGS: [&str; 13] = [
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "blockquote",
    "pre",
    "table",
];

/// The Markdown of a text that begins, after white space, with an HTML block; `None` for every other text, which
/// is used as it is.
pub fn html_to_markdown(text: &str) -> Option<String> {
    let start = text.trim_start_matches(js::is_space).strip_prefix('<')?;
    let name_end = start.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (name, rest) = start.split_at(name_end);
    let known = BEGINNINGS
        .iter()
        .any(|beginning| name.eq_ignore_ascii_case(beginning));
    if !known || !rest.starts_with(|c| c == '>' || c == '/' || js::is_space(c)) || text.len() > LONGEST {
        return None;
    }
    let mut tree = parse(text);
    let root = tree.root();
    tree.collapse_whitespace(root);
    let written = tree.write_children(root, 0);
    Some(
        written
            .trim_start_matches(['\t', '\r', '\n'])
            .trim_end_matches(js::is_space)
            .to_owned(),
    )
}

fn parse(text: &str) -> Tree {
    let context = QualName::new(None, ns!(html), local_name!("body"));
    let sink = parse_fragment(Sink::default(), ParseOpts::default(), context, Vec::new(), false).one(text);
    Tree {
        nodes: sink.nodes.into_inner(),
    }
}

type NodeId = usize;

#[derive(Debug)]
enum Kind {
    Element {
        name: String,
        attributes: Vec<(String, String)>,
    },
    Text(String),
    /// The document, comments, and whatever else writes nothing.
    Other,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    parent: Option<NodeId>,
    previous: Option<NodeId>,
    next: Option<NodeId>,
    first: Option<NodeId>,
    last: Option<NodeId>,
}

impl Node {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            parent: None,
            previous: None,
            next: None,
            first: None,
            last: None,
        }
    }
}

fn detach(nodes: &mut [Node], id: NodeId) {
    let (parent, previous, next) = (
        nodes[id].parent.take(),
        nodes[id].previous.take(),
        nodes[id].next.take(),
    );
    match previous {
        Some(previous) => nodes[previous].next = next,
        None => {
            if let Some(parent) = parent {
                nodes[parent].first = next;
            }
        }
    }
    match next {
        Some(next) => nodes[next].previous = previous,
        None => {
            if let Some(parent) = parent {
                nodes[parent].last = previous;
            }
        }
    }
}

fn append(nodes: &mut [Node], parent: NodeId, child: NodeId) {
    detach(nodes, child);
    let last = nodes[parent].last;
    nodes[child].parent = Some(parent);
    nodes[child].previous = last;
    nodes[parent].last = Some(child);
    match last {
        Some(last) => nodes[last].next = Some(child),
        None => nodes[parent].first = Some(child),
    }
}

fn insert_before(nodes: &mut [Node], sibling: NodeId, child: NodeId) {
    detach(nodes, child);
    let (parent, previous) = (nodes[sibling].parent, nodes[sibling].previous);
    nodes[child].parent = parent;
    nodes[child].previous = previous;
    nodes[child].next = Some(sibling);
    nodes[sibling].previous = Some(child);
    match previous {
        Some(previous) => nodes[previous].next = Some(child),
        None => {
            if let Some(parent) = parent {
                nodes[parent].first = Some(child);
            }
        }
    }
}

/// What the parser builds.
struct Sink {
    nodes: RefCell<Vec<Node>>,
}

impl Default for Sink {
    fn default() -> Self {
        Self {
            nodes: RefCell::new(vec![Node::new(Kind::Other)]),
        }
    }
}

#[derive(Debug, Clone)]
struct Handle {
    id: NodeId,
    name: Option<Rc<QualName>>,
}

const DOCUMENT: NodeId = 0;

impl Sink {
    fn add(&self, kind: Kind) -> NodeId {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node::new(kind));
        nodes.len() - 1
    }

    /// Text joins the text it comes to stand after.
    fn place(
        &self,
        child: NodeOrText<Handle>,
        before: Option<NodeId>,
        place: impl FnOnce(&mut [Node], NodeId),
    ) {
        match child {
            NodeOrText::AppendNode(node) => place(&mut self.nodes.borrow_mut(), node.id),
            NodeOrText::AppendText(text) => {
                if let Some(before) = before
                    && let Kind::Text(existing) = &mut self.nodes.borrow_mut()[before].kind
                {
                    existing.push_str(&text);
                    return;
                }
                let node = self.add(Kind::Text(text.to_string()));
                place(&mut self.nodes.borrow_mut(), node);
            }
        }
    }
}

const NAMELESS: ExpandedName<'static> = ExpandedName {
    ns: &ns!(),
    local: &local_name!(""),
};

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = Self;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle {
            id: DOCUMENT,
            name: None,
        }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        target.name.as_ref().map_or(NAMELESS, |name| name.expanded())
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _flags: ElementFlags) -> Handle {
        let id = self.add(Kind::Element {
            name: name.local.to_string(),
            attributes: attributes
                .into_iter()
                .map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string()))
                .collect(),
        });
        Handle {
            id,
            name: Some(Rc::new(name)),
        }
    }

    fn create_comment(&self, _text: StrTendril) -> Handle {
        Handle {
            id: self.add(Kind::Other),
            name: None,
        }
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Handle {
        Handle {
            id: self.add(Kind::Other),
            name: None,
        }
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        let last = self.nodes.borrow()[parent.id].last;
        self.place(child, last, |nodes, child| append(nodes, parent.id, child));
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        if self.nodes.borrow()[element.id].parent.is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    fn get_template_contents(&self, _target: &Handle) -> Handle {
        // The contents of a <template> are not part of the document; they end up nowhere.
        Handle {
            id: self.add(Kind::Other),
            name: None,
        }
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one.id == other.id
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        let before = self.nodes.borrow()[sibling.id].previous;
        self.place(child, before, |nodes, child| {
            insert_before(nodes, sibling.id, child)
        });
    }

    fn add_attrs_if_missing(&self, _target: &Handle, _attributes: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Handle) {
        detach(&mut self.nodes.borrow_mut(), target.id);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let nodes = &mut self.nodes.borrow_mut();
        while let Some(child) = nodes[node.id].first {
            append(nodes, new_parent.id, child);
        }
    }
}

const BLOCKS: [&str; 48] = [
    "address",
    "article",
    "aside",
    "audio",
    "blockquote",
    "body",
    "canvas",
    "center",
    "dd",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "html",
    "isindex",
    "li",
    "main",
    "menu",
    "nav",
    "noframes",
    "noscript",
    "ol",
    "output",
    "p",
    "pre",
    "section",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
];
const VOIDS: [&str; 16] = [
    "area", "base", "br", "col", "command", "embed", "hr", "img", "input", "keygen", "link", "meta", "param",
    "source", "track", "wbr",
];
/// Elements that say something although they hold no text.
const MEANINGFUL: [&str; 11] = [
    "a", "table", "thead", "tbody", "tfoot", "th", "td", "iframe", "script", "audio", "video",
];

fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name) || name == "ul"
}

struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// A fragment is parsed into an `html` element.
    fn root(&self) -> NodeId {
        self.nodes[DOCUMENT].first.unwrap_or(DOCUMENT)
    }

    fn name(&self, id: NodeId) -> &str {
        match &self.nodes[id].kind {
            Kind::Element { name, .. } => name,
            _ => "",
        }
    }

    fn attribute(&self, id: NodeId, wanted: &str) -> Option<&str> {
        match &self.nodes[id].kind {
            Kind::Element { attributes, .. } => attributes
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str()),
            _ => None,
        }
    }

    fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.nodes[id].first, |child| self.nodes[*child].next)
    }

    /// Every node below this one, in document order, without recursion.
    fn descendants(&self, top: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut next = self.nodes[top].first;
        std::iter::from_fn(move || {
            let current = next?;
            next = self.nodes[current].first.or_else(|| {
                let mut up = current;
                loop {
                    if up == top {
                        return None;
                    }
                    if let Some(sibling) = self.nodes[up].next {
                        return Some(sibling);
                    }
                    up = self.nodes[up].parent?;
                }
            });
            Some(current)
        })
    }

    fn text_content(&self, id: NodeId) -> String {
        if let Kind::Text(text) = &self.nodes[id].kind {
            return text.clone();
        }
        self.descendants(id)
            .filter_map(|node| match &self.nodes[node].kind {
                Kind::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Joins runs of white space and drops it where a browser would not show it.
    fn collapse_whitespace(&mut self, root: NodeId) {
        let is_pre = |tree: &Self, id: NodeId| tree.name(id) == "pre";
        let following = |tree: &Self, previous: Option<NodeId>, current: NodeId| {
            let node = &tree.nodes[current];
            let returning = previous.is_some_and(|previous| tree.nodes[previous].parent == Some(current));
            if returning || is_pre(tree, current) {
                node.next.or(node.parent)
            } else {
                node.first.or(node.next).or(node.parent)
            }
        };
        if self.nodes[root].first.is_none() {
            return;
        }
        let mut previous_text: Option<NodeId> = None;
        let mut keep_leading = false;
        let mut previous: Option<NodeId> = None;
        let mut current = following(self, previous, root);
        while let Some(id) = current
            && id != root
        {
            let dropped = match &self.nodes[id].kind {
                Kind::Text(text) => {
                    let mut text = collapse(text);
                    let after_space = previous_text.is_none_or(|text| self.ends_with_space(text));
                    if after_space && !keep_leading && text.starts_with(' ') {
                        text.remove(0);
                    }
                    let empty = text.is_empty();
                    self.nodes[id].kind = Kind::Text(text);
                    if !empty {
                        previous_text = Some(id);
                    }
                    empty
                }
                Kind::Element { name, .. } => {
                    if is_block(name) || name == "br" {
                        self.trim_end_space(previous_text);
                        previous_text = None;
                        keep_leading = false;
                    } else if VOIDS.contains(&name.as_str()) || name == "pre" {
                        previous_text = None;
                        keep_leading = true;
                    } else if previous_text.is_some() {
                        keep_leading = false;
                    }
                    false
                }
                Kind::Other => true,
            };
            if dropped {
                current = self.nodes[id].next.or(self.nodes[id].parent);
                detach(&mut self.nodes, id);
            } else {
                current = following(self, previous, id);
                previous = Some(id);
            }
        }
        self.trim_end_space(previous_text);
    }

    fn ends_with_space(&self, id: NodeId) -> bool {
        matches!(&self.nodes[id].kind, Kind::Text(text) if text.ends_with(' '))
    }

    fn trim_end_space(&mut self, id: Option<NodeId>) {
        if let Some(id) = id
            && let Kind::Text(text) = &mut self.nodes[id].kind
            && text.ends_with(' ')
        {
            text.pop();
            if text.is_empty() {
                detach(&mut self.nodes, id);
            }
        }
    }

    fn write_children(&self, id: NodeId, depth: usize) -> String {
        let mut out = String::new();
        for child in self.children(id) {
            match &self.nodes[child].kind {
                Kind::Text(text) => join(&mut out, text),
                Kind::Element { .. } => join(&mut out, &self.write_element(child, depth)),
                Kind::Other => {}
            }
        }
        out
    }

    fn is_blank(&self, id: NodeId) -> bool {
        let says_something = |name: &str| VOIDS.contains(&name) || MEANINGFUL.contains(&name);
        !says_something(self.name(id))
            && self.descendants(id).all(|node| match &self.nodes[node].kind {
                Kind::Text(text) => text.chars().all(js::is_space),
                Kind::Element { name, .. } => !says_something(name),
                Kind::Other => true,
            })
    }

    fn write_element(&self, id: NodeId, depth: usize) -> String {
        let name = self.name(id);
        let block = is_block(name);
        let blank = self.is_blank(id);
        let mut content = if depth >= DEEPEST {
            self.text_content(id)
        } else {
            self.write_children(id, depth + 1)
        };
        let (leading, trailing) = if block {
            (String::new(), String::new())
        } else {
            self.flanks(id)
        };
        if !leading.is_empty() || !trailing.is_empty() {
            content = js::trim(&content).to_owned();
        }
        let body = if blank {
            if block { "\n\n".to_owned() } else { String::new() }
        } else {
            self.rule(id, name, block, content)
        };
        format!("{leading}{body}{trailing}")
    }

    fn rule(&self, id: NodeId, name: &str, block: bool, content: String) -> String {
        let parent = self.nodes[id].parent.map_or("", |parent| self.name(parent));
        match name {
            "br" => "  \n".to_owned(),
            "hr" => "\n\n* * *\n\n".to_owned(),
            "h1" | "h2" => {
                let line = if name == "h1" { "=" } else { "-" };
                format!(
                    "\n\n{content}\n{}\n\n",
                    line.repeat(content.encode_utf16().take(LONGEST_LINE).count())
                )
            }
            "h3" | "h4" | "h5" | "h6" => {
                format!(
                    "\n\n{} {content}\n\n",
                    "#".repeat(usize::from(name.as_bytes()[1] - b'0'))
                )
            }
            "blockquote" => {
                let quoted: Vec<_> = content
                    .trim_matches('\n')
                    .split('\n')
                    .map(|line| format!("> {line}"))
                    .collect();
                format!("\n\n{}\n\n", quoted.join("\n"))
            }
            "ul" | "ol" => {
                let last_element = self.nodes[id].next.is_none_or(|next| {
                    std::iter::successors(Some(next), |node| self.nodes[*node].next)
                        .all(|node| self.name(node).is_empty())
                });
                if parent == "li" && last_element {
                    format!("\n{content}")
                } else {
                    format!("\n\n{content}\n\n")
                }
            }
            "li" => self.list_item(id, &content),
            "pre" => match self.nodes[id].first {
                Some(code) if self.name(code) == "code" => {
                    format!("\n\n    {}\n\n", self.text_content(code).replace('\n', "\n    "))
                }
                _ => format!("\n\n{content}\n\n"),
            },
            "a" => match self.attribute(id, "href") {
                Some(href) if !href.is_empty() => {
                    let href = href.replace('(', "\\(").replace(')', "\\)");
                    let title = clean(self.attribute(id, "title"));
                    let title = if title.is_empty() {
                        title
                    } else {
                        format!(" \"{}\"", title.replace('"', "\\\""))
                    };
                    format!("[{content}]({href}{title})")
                }
                _ => content,
            },
            "em" | "i" if js::trim(&content).is_empty() => String::new(),
            "strong" | "b" if js::trim(&content).is_empty() => String::new(),
            "em" | "i" => format!("_{content}_"),
            "strong" | "b" => format!("**{content}**"),
            "code" => {
                let alone = self.nodes[id].previous.is_none() && self.nodes[id].next.is_none();
                if parent == "pre" && alone {
                    content
                } else {
                    code_span(&content)
                }
            }
            "img" => {
                let source = self.attribute(id, "src").unwrap_or_default();
                if source.is_empty() {
                    return String::new();
                }
                let title = clean(self.attribute(id, "title"));
                let title = if title.is_empty() {
                    title
                } else {
                    format!(" \"{title}\"")
                };
                format!("![{}]({source}{title})", clean(self.attribute(id, "alt")))
            }
            _ if block => format!("\n\n{content}\n\n"),
            _ => content,
        }
    }

    fn list_item(&self, id: NodeId, content: &str) -> String {
        let content = content.trim_start_matches('\n');
        let without = content.trim_end_matches('\n');
        let end = if without.len() < content.len() { "\n" } else { "" };
        let content = format!("{without}{end}").replace('\n', "\n    ");
        let parent = self.nodes[id].parent;
        let prefix = match parent {
            Some(list) if self.name(list) == "ol" => {
                let index = self
                    .children(list)
                    .filter(|child| !self.name(*child).is_empty())
                    .position(|child| child == id);
                let index = index.unwrap_or(0);
                let number = match self.attribute(list, "start").filter(|start| !start.is_empty()) {
                    Some(start) => js::number_from_text(start) + index as f64,
                    None => (index + 1) as f64,
                };
                format!("{}.  ", ryu_js::Buffer::new().format(number))
            }
            _ => "*   ".to_owned(),
        };
        let gap = if self.nodes[id].next.is_some() && !content.ends_with('\n') {
            "\n"
        } else {
            ""
        };
        format!("{prefix}{content}{gap}")
    }

    /// The white space at the ends of an inline element, which has to stay outside its marks.
    fn flanks(&self, id: NodeId) -> (String, String) {
        let text = self.text_content(id);
        let is_ascii = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
        let inner = text.trim_start_matches(js::is_space);
        let leading = &text[..text.len() - inner.len()];
        // A text of nothing but white space has all of it in front.
        let trailing = &inner[inner.trim_end_matches(js::is_space).len()..];
        let leading_rest = leading.trim_start_matches(is_ascii);
        let trailing_rest = trailing.trim_end_matches(is_ascii);
        let node = &self.nodes[id];
        let left = leading_rest.len() < leading.len()
            && node
                .previous
                .is_some_and(|sibling| self.inline_text(sibling).is_some_and(|text| text.ends_with(' ')));
        let right = trailing_rest.len() < trailing.len()
            && node.next.is_some_and(|sibling| {
                self.inline_text(sibling)
                    .is_some_and(|text| text.starts_with(' '))
            });
        let pick = |flanked, rest: &str, whole: &str| {
            if flanked {
                rest.to_owned()
            } else {
                whole.to_owned()
            }
        };
        (
            pick(left, leading_rest, leading),
            pick(right, trailing_rest, trailing),
        )
    }

    fn inline_text(&self, id: NodeId) -> Option<String> {
        match &self.nodes[id].kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Element { name, .. } if !is_block(name) => Some(self.text_content(id)),
            _ => None,
        }
    }
}

fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_space = false;
    for c in text.chars() {
        let space = matches!(c, ' ' | '\r' | '\n' | '\t');
        match (space, in_space) {
            (true, false) => out.push(' '),
            (true, true) => {}
            (false, _) => out.push(c),
        }
        in_space = space;
    }
    out
}

/// Puts two pieces together with at most one empty line between them.
fn join(out: &mut String, piece: &str) {
    let kept = out.trim_end_matches('\n').len();
    let rest = piece.trim_start_matches('\n');
    let newlines = (out.len() - kept).max(piece.len() - rest.len()).min(2);
    out.truncate(kept);
    out.push_str(&"\n\n"[..newlines]);
    out.push_str(rest);
}

/// An attribute with its line breaks joined.
fn clean(attribute: Option<&str>) -> String {
    let mut out = String::new();
    let mut rest = attribute.unwrap_or_default();
    while let Some(at) = rest.find('\n') {
        out.push_str(&rest[..=at]);
        rest = rest[at..].trim_start_matches(js::is_space);
    }
    out.push_str(rest);
    out
}

fn code_span(content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    let content = content.replace("\r\n", " ").replace(['\n', '\r'], " ");
    let padded = content.starts_with(' ')
        && content.ends_with(' ')
        && content.len() > 1
        && content.chars().any(|c| c != ' ');
    let space = if content.starts_with('`') || content.ends_with('`') || padded {
        " "
    } else {
        ""
    };
    let runs: Vec<usize> = content
        .split(|c| c != '`')
        .map(str::len)
        .filter(|length| *length > 0)
        .collect();
    let mut marks = 1;
    while runs.contains(&marks) {
        marks += 1;
    }
    let fence = "`".repeat(marks);
    format!("{fence}{space}{content}{space}{fence}")
}
