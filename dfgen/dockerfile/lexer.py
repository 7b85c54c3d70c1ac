"""BuildKit's word lexer: quotes, escapes and variables in ENV values, paths and heredoc words.

BuildKit's shell.Lex is the reference: https://pkg.go.dev/github.com/moby/buildkit/frontend/dockerfile/shell
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The characters of Go's unicode.IsSpace. str.isspace() also accepts the separators \x1c to \x1f.
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
SPACES += "\u2028\u2029\u202f\u205f\u3000"
_SPECIAL_PARAMETERS = "@*#?-$!"


class UnbalancedError(ValueError):
    """A quote or a `${` is not closed, or BuildKit does not support the substitution."""


@dataclass(slots=True)
class _Words:
    """Collects words; `quoted` text is not split at spaces."""

    done: list[str] = field(default_factory=list)
    word: str = ""
    started: bool = False

    def add(self, text: str, quoted: bool) -> None:
        """Add the next piece of the text: unquoted spaces end a word."""
        for char in text:
            if quoted or char not in SPACES:
                self.word += char
                self.started = True
            elif self.started and self.word:
                self.done.append(self.word)
                self.word, self.started = "", False

    def finish(self) -> list[str]:
        """Return all words. Empty words, even quoted ones, are dropped."""
        return [*self.done, self.word] if self.word else self.done


@dataclass(slots=True)
class _Lexer:
    """One pass over a text; `raw_quotes` and `raw_escapes` keep these, as the search for heredocs needs."""

    text: str
    escape: str
    variables: Mapping[str, str] | None
    raw_quotes: bool = False
    raw_escapes: bool = False
    at: int = 0

    def peek(self) -> str:
        """Return the next character, "" at the end."""
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        """Consume and return the next character, "" at the end."""
        char = self.peek()
        self.at += 1
        return char

    def run(self, stop: str = "") -> tuple[str, list[str]]:
        """Read up to `stop` or the end. Returns the whole text and its words."""
        result, words = "", _Words()
        while char := self.peek():
            if stop and char == stop:
                self.at += 1
                return result, words.finish()
            piece, quoted = self.piece(char)
            words.add(piece, quoted)
            result += piece
        if stop:
            raise UnbalancedError(f"no closing {stop}")
        return result, words.finish()

    def piece(self, char: str) -> tuple[str, bool]:
        """Read what begins with `char`. Returns it, and whether it is quoted."""
        if char == "'":
            return self.single(), True
        if char == '"':
            return self.double(), True
        if char == "$":
            return self.dollar(), False
        if char == "<" and self.raw_escapes:
            return self.heredoc_operator(), True
        self.at += 1
        if char != self.escape:
            return char, False
        return (char if self.raw_escapes else "") + self.take(), True

    def heredoc_operator(self) -> str:
        """Read `<<` with the spaces after it, so that `<< EOF` stays one word."""
        if not self.text.startswith("<<", self.at):
            return self.take()
        start = self.at
        self.at += 2
        while self.peek() and self.peek() in " \t":
            self.at += 1
        return self.text[start : self.at]

    def single(self) -> str:
        """Read single quotes, in which nothing is special. Raises UnbalancedError."""
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise UnbalancedError("no closing '")
        inner, self.at = self.text[self.at + 1 : end], end + 1
        return f"'{inner}'" if self.raw_quotes else inner

    def double(self) -> str:
        """Read double quotes, in which variables and escapes are special. Raises UnbalancedError."""
        self.at += 1
        result = ""
        while (char := self.peek()) != '"':
            if not char:
                raise UnbalancedError('no closing "')
            result += self.dollar() if char == "$" else self.double_char()
        self.at += 1
        return f'"{result}"' if self.raw_quotes else result

    def double_char(self) -> str:
        """Read a character in double quotes; the escape character only escapes `"`, `$` and itself."""
        char = self.take()
        if char != self.escape:
            return char
        kept = char if self.raw_escapes else ""
        following = self.peek()
        if not following:
            return kept
        return kept + (self.take() if following in f'"${self.escape}' else char)

    def dollar(self) -> str:
        """Read `$name` or `${...}`; a `$` without a name is text. Raises UnbalancedError."""
        self.at += 1
        if self.peek() != "{":
            name = self.name()
            return self.value(name, f"${name}") if name else "$"
        self.at += 1
        if self.peek() in ("", "{", "}", ":"):
            raise UnbalancedError("bad substitution")
        name, operator = self.name(), self.take()
        if operator == "}":
            return self.value(name, f"${{{name}}}")
        return self.substitution(name, operator)

    def substitution(self, name: str, operator: str) -> str:
        """Evaluate `${name:-word}` and `${name:+word}`; substitutions that edit a value stay as written."""
        if operator == "/":
            pattern, replacement = self.run("/")[0], self.run("}")[0]
            return f"${{{name}/{pattern}/{replacement}}}"
        if operator == ":":
            operator += self.take()
        if operator[-1:] not in ("+", "-", "?", "#", "%"):
            raise UnbalancedError("unsupported modifier")
        word = self.run("}")[0]
        if self.variables is None or operator[-1] in "?#%":
            return f"${{{name}{operator}{word}}}"
        known = self.variables.get(name)
        is_set = bool(known) if operator[0] == ":" else known is not None
        if operator[-1] == "+":
            return word if is_set else ""
        return known or "" if is_set else word

    def value(self, name: str, written: str) -> str:
        """Return a variable's value, "" if it is not set, or the text as written without `variables`."""
        return written if self.variables is None else self.variables.get(name, "")

    def name(self) -> str:
        """Read a variable's name: a word, digits, or one special parameter. It may be empty."""
        start = self.at
        first = self.peek()
        digits_only = first.isdigit()
        if first and first in _SPECIAL_PARAMETERS and not digits_only:
            return self.take()
        while (char := self.peek()) and (char.isdigit() if digits_only else char.isalnum() or char == "_"):
            self.at += 1
        return self.text[start : self.at]


def raw_words(line: str) -> list[str]:
    """Split a line as BuildKit does to find heredocs. Returns no words for a line that it cannot lex."""
    lexer = _Lexer(line, "\\", None, raw_quotes=True, raw_escapes=True)
    try:
        return lexer.run()[1]
    except UnbalancedError:
        return []


def plain_words(text: str) -> list[str]:
    """Split and unquote a raw word; variables stay as written."""
    return _Lexer(text, "\\", None).run()[1]


def quoted_words(text: str) -> list[str]:
    """Split a raw word and resolve escapes; quotes stay."""
    return _Lexer(text, "\\", None, raw_quotes=True).run()[1]


def unquote(word: str, escape: str = "\\", variables: Mapping[str, str] | None = None) -> str:
    """Resolve quotes, escapes and, with `variables`, variables. Raises UnbalancedError."""
    if word.isalnum():  # fast path for most values
        return word
    return _Lexer(word, escape, variables).run()[0]
