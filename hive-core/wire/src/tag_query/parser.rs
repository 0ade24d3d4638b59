//! The parser of tag queries. Its recursion is bounded by [`MAX_DEPTH`].

use super::{InvalidTagQuery, MAX_CHARS, MAX_DEPTH, MAX_TAG_CHARS, MAX_TERMS, TagExpr, is_tag, is_tag_char};

/// The word that selects every satellite.
pub(super) const ALL: &str = "all";
const AND: &str = "AND";
const OR: &str = "OR";
const NOT: &str = "NOT";

/// Whether a tag has to stand in quotes, because it is a word of the grammar.
pub(super) fn is_reserved(tag: &str) -> bool {
    [ALL, AND, OR, NOT].contains(&tag)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    End,
}

/// Parses the text of a query.
pub(super) fn parse(text: &str) -> Result<TagExpr, InvalidTagQuery> {
    check_length(text)?;
    let mut parser = QueryParser { tokens: tokens(text)?, next: 0, depth: 0, terms: 0 };
    let query = parser.any()?;
    match parser.token() {
        Token::End => Ok(query),
        _ => Err(parser.expected("AND, OR or the end")),
    }
}

/// Checks the length of the text of a query.
pub(super) fn check_length(text: &str) -> Result<(), InvalidTagQuery> {
    if text.chars().nth(MAX_CHARS).is_some() {
        return Err(refuse(MAX_CHARS + 1, format!("a query has at most {MAX_CHARS} characters")));
    }
    Ok(())
}

fn refuse(position: usize, rule: impl Into<String>) -> InvalidTagQuery {
    InvalidTagQuery { position, rule: rule.into() }
}

/// Returns the tokens with their positions, and the end as the last one.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, InvalidTagQuery> {
    let mut tokens = Vec::new();
    // Positions count characters from 1, as an editor shows them to the person who reads the error.
    let mut letters = text.chars().zip(1..).peekable();
    while let Some((letter, position)) = letters.next() {
        let token = match letter {
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => {
                let mut tag = String::new();
                loop {
                    match letters.next() {
                        Some(('"', _)) => break Token::Quoted(tag),
                        Some((letter, _)) => tag.push(letter),
                        None => return Err(refuse(position, "the quoted tag has no end")),
                    }
                }
            }
            // Reserved words are told from tags by the parser: a quoted one is a tag.
            letter if letter.is_whitespace() => continue,
            letter if is_tag_char(letter) => {
                let mut word = String::from(letter);
                while let Some((letter, _)) = letters.next_if(|(letter, _)| is_tag_char(*letter)) {
                    word.push(letter);
                }
                Token::Word(word)
            }
            letter => return Err(refuse(position, format!("{letter:?} is not allowed here"))),
        };
        tokens.push((token, position));
    }
    tokens.push((Token::End, text.chars().count() + 1));
    Ok(tokens)
}

struct QueryParser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
    terms: usize,
}

impl QueryParser {
    fn token(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn position(&self) -> usize {
        self.tokens[self.next].1
    }

    /// Goes on behind the token, unless it is the end.
    fn advance(&mut self) {
        // It stays at the end, so that an error there still has a token to show.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.token(), Token::Word(next) if next == word);
        if is_next {
            self.advance();
        }
        is_next
    }

    fn expected(&self, what: &str) -> InvalidTagQuery {
        let found = match self.token() {
            Token::Word(word) | Token::Quoted(word) => {
                // The word comes from the caller and may be as long as the query.
                let word: String = word.chars().take(MAX_TAG_CHARS).collect();
                let is_lower_case = !is_reserved(&word) && is_reserved(&word.to_uppercase());
                let hint = if is_lower_case { "; operators are written in upper case" } else { "" };
                format!("{word:?}{hint}")
            }
            Token::Open => "'('".into(),
            Token::Close => "')'".into(),
            Token::End => "the end".into(),
        };
        refuse(self.position(), format!("expected {what}, found {found}"))
    }

    fn any(&mut self) -> Result<TagExpr, InvalidTagQuery> {
        let mut parts = vec![self.every()?];
        while self.take_word(OR) {
            parts.push(self.every()?);
        }
        Ok(joined(parts, TagExpr::Or))
    }

    fn every(&mut self) -> Result<TagExpr, InvalidTagQuery> {
        let mut parts = vec![self.part()?];
        while self.take_word(AND) {
            parts.push(self.part()?);
        }
        Ok(joined(parts, TagExpr::And))
    }

    fn part(&mut self) -> Result<TagExpr, InvalidTagQuery> {
        if self.take_word(NOT) {
            return Ok(TagExpr::Not(Box::new(self.nested(Self::part)?)));
        }
        match self.token().clone() {
            Token::Open => {
                self.advance();
                let query = self.nested(Self::any)?;
                if *self.token() != Token::Close {
                    return Err(self.expected("AND, OR or ')'"));
                }
                self.advance();
                Ok(query)
            }
            Token::Word(word) if word == ALL => self.term(TagExpr::All),
            Token::Word(word) if !is_reserved(&word) => self.tag(word),
            Token::Quoted(tag) => self.tag(tag),
            _ => Err(self.expected("a tag, NOT, all or '('")),
        }
    }

    fn tag(&mut self, tag: String) -> Result<TagExpr, InvalidTagQuery> {
        if !is_tag(&tag) {
            let rule = format!("a tag has 1 to {MAX_TAG_CHARS} letters, digits or -_.:/=@");
            return Err(refuse(self.position(), rule));
        }
        self.term(TagExpr::Tag(tag))
    }

    fn term(&mut self, term: TagExpr) -> Result<TagExpr, InvalidTagQuery> {
        // Every term is a subquery for the database, which has its own limit on them.
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(refuse(self.position(), format!("a query has at most {MAX_TERMS} tags")));
        }
        self.advance();
        Ok(term)
    }

    fn nested(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<TagExpr, InvalidTagQuery>,
    ) -> Result<TagExpr, InvalidTagQuery> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let rule = format!("at most {MAX_DEPTH} parentheses and NOTs may be inside each other");
            return Err(refuse(self.position(), rule));
        }
        // After an error the depth is wrong, and nothing is parsed any more.
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }
}

/// One part stays as it is: parentheses around it have no meaning.
fn joined(mut parts: Vec<TagExpr>, join: fn(Vec<TagExpr>) -> TagExpr) -> TagExpr {
    if parts.len() > 1 { join(parts) } else { parts.swap_remove(0) }
}
