//! Folders of texts in the place of document stores: the passages that fit a question best, by BM25.

use std::fs;
use std::path::{Path, PathBuf};

use bm25::{Document, SearchEngineBuilder, Tokenizer};
use countersign_domain::display_line;
use countersign_flow::{Lookup, Passage};
use serde_json::json;

use crate::app::Inner;
use crate::connections::WHERE;

/// What is read: texts and Markdown.
const EXTENSIONS: [&str; 3] = ["md", "markdown", "txt"];

/// The bounds of a folder. More is a library, and needs another index.
const FILES_MAX: usize = 5_000;
const BYTES_MAX: u64 = 64 << 20;
const DEEPEST: usize = 16;

/// How long a passage gets, in characters. Paragraphs are put together up to there, and longer ones cut.
const PASSAGE: usize = 1_000;

impl Inner {
    /// Looks something up.
    ///
    /// # Errors
    /// For people: no folder stands for the store, or it cannot be read.
    pub(crate) async fn look_up_in_folder(&self, lookup: Lookup) -> Result<Vec<Passage>, String> {
        let shown = display_line(&lookup.store, 100);
        let folder = self
            .store_folder(&lookup.store)
            .ok_or_else(|| format!("No folder stands for the document store {shown}. Map one {WHERE}."))?;
        let found =
            tokio::task::spawn_blocking(move || best(Path::new(&folder), &lookup.query, lookup.limit));
        match found.await {
            Ok(found) => found,
            Err(_) => Err(format!("Looking something up in {shown} failed unexpectedly.")),
        }
    }
}

/// Words, in small letters.
struct Words;

impl Tokenizer for Words {
    fn tokenize(&self, text: &str) -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    }
}

/// A passage and where it stands.
struct Cut {
    text: String,
    source: String,
}

fn best(folder: &Path, query: &str, limit: usize) -> Result<Vec<Passage>, String> {
    let cuts = passages(folder)?;
    let documents = cuts
        .iter()
        .enumerate()
        .map(|(at, cut)| Document::new(at, cut.text.as_str()));
    let documents: Vec<Document<usize>> = documents.collect();
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let engine =
        SearchEngineBuilder::<usize, u32, Words>::with_tokenizer_and_documents(Words, documents).build();
    let found = engine
        .search(query, limit)
        .into_iter()
        .filter_map(|hit| cuts.get(hit.document.id));
    let passages = found.map(|cut| Passage {
        page_content: cut.text.clone(),
        metadata: json!({"source": cut.source}),
    });
    Ok(passages.collect())
}

fn passages(folder: &Path) -> Result<Vec<Cut>, String> {
    let mut files = Vec::new();
    let unreadable =
        |error: std::io::Error| format!("The folder {} cannot be read: {error}.", folder.display());
    find(folder, 0, &mut files).map_err(unreadable)?;
    files.sort();
    let mut bytes = 0;
    let mut cuts = Vec::new();
    for file in files {
        bytes += fs::metadata(&file).map_err(unreadable)?.len();
        if bytes > BYTES_MAX {
            return Err(format!(
                "The texts in {} are more than {} MiB.",
                folder.display(),
                BYTES_MAX >> 20
            ));
        }
        let text = fs::read(&file).map_err(unreadable)?;
        let source = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        cut(&String::from_utf8_lossy(&text), &source, &mut cuts);
    }
    Ok(cuts)
}

/// The texts in a folder and in those below it. Links are not followed: they could lead out of it, or in circles.
fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        let is_text = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| {
                EXTENSIONS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(extension))
            });
        if kind.is_dir() && depth < DEEPEST {
            find(&path, depth + 1, files)?;
        } else if kind.is_file() && is_text {
            if files.len() >= FILES_MAX {
                return Err(std::io::Error::other(format!(
                    "it holds more than {FILES_MAX} texts"
                )));
            }
            files.push(path);
        }
    }
    Ok(())
}

fn cut(text: &str, source: &str, cuts: &mut Vec<Cut>) {
    let mut passage = String::new();
    let mut length = 0;
    let mut end = |passage: &mut String, length: &mut usize| {
        let text = std::mem::take(passage);
        *length = 0;
        if !text.trim().is_empty() {
            cuts.push(Cut {
                text: text.trim().to_owned(),
                source: source.to_owned(),
            });
        }
    };
    let text = text.replace("\r\n", "\n");
    for paragraph in text.split("\n\n") {
        let long = paragraph.chars().count();
        if length + long > PASSAGE {
            end(&mut passage, &mut length);
        }
        for letter in paragraph.chars() {
            if length >= PASSAGE {
                end(&mut passage, &mut length);
            }
            passage.push(letter);
            length += 1;
        }
        passage.push_str("\n\n");
        length += 2;
    }
    end(&mut passage, &mut length);
}
