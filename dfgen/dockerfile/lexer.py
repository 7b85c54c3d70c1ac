"""BuildKit's own word lexer: quotes, escapes and variables in ENV values, paths and heredoc words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What Go's unicode.IsSpace accepts; str.isspace() would take the separators \x1c to \x1f too.
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
SPACES += "\u2028\u2029\u202f\u205f\u3000"
_SPECIAL_PARAMETERS = "@*#?-$!"


class UnbalancedError(ValueError):
    """A quote or a `${` that is never closed, or a substitution that BuildKit does not know."""


@dataclass(slots=True)
class _Words:
    """Words as they grow; `quoted` text is never split at spaces."""

    done: list[str] = field(default_factory=list)
    word: str = ""
    started: bool = False

    def add(self, text: str, quoted: bool) -> None:
        """Take the next piece of the text: spaces end a word, unless they were quoted."""
        for char in text:
            if quoted or char not in SPACES:
                self.word += char
                self.started = True
            elif self.started and self.word:
                self.done.append(self.word)
                self.word, self.started = "", False

    def finish(self) -> list[str]:
        """All words, with the last one; one that is empty, even in quotes, is none."""
        return [*self.done, self.word] if self.word else self.done


@dataclass(slots=True)
class _Lexer:
    """One pass over a text; `raw` keeps quotes and escapes, as the search for heredocs needs."""

    text: str
    escape: str
    variables: Mapping[str, str] | None
    raw_quotes: bool = False
    raw_escapes: bool = False
    at: int = 0

    def peek(self) -> str:
        """The next character; nothing at the end."""
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        """The next character, which is then behind; nothing at the end."""
        char = self.peek()
        self.at += 1
        return char

    def run(self, stop: str = "") -> tuple[str, list[str]]:
        """Read up to `stop` or the end: the whole text, and its words."""
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
        """Read what begins with `char`, and tell whether its spaces are part of a word."""
        if char == "'":
            return self.single(), True
        if char == '"':
            return self.double(), True
        if char == "$":
            return self.dollar(), False
        if char == "<" and self.raw_escapes:
            return self.heredoc_mark(), True
        self.at += 1
        if char != self.escape:
            return char, False
        return (char if self.raw_escapes else "") + self.take(), True

    def heredoc_mark(self) -> str:
        """Take `<<` with the spaces after it, so that `<< EOF` stays one word."""
        if not self.text.startswith("<<", self.at):
            return self.take()
        start = self.at
        self.at += 2
        while self.peek() and self.peek() in " \t":
            self.at += 1
        return self.text[start : self.at]

    def single(self) -> str:
        """Read '...', in which nothing is special. Raises UnbalancedError."""
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise UnbalancedError("no closing '")
        inner, self.at = self.text[self.at + 1 : end], end + 1
        return f"'{inner}'" if self.raw_quotes else inner

    def double(self) -> str:
        """Read "...", in which variables and escapes count. Raises UnbalancedError."""
        self.at += 1
        result = ""
        while (char := self.peek()) != '"':
            if not char:
                raise UnbalancedError('no closing "')
            result += self.dollar() if char == "$" else self.double_char()
        self.at += 1
        return f'"{result}"' if self.raw_quotes else result

    def double_char(self) -> str:
        """Read a character in double quotes, where an escape stays before all but `"`, `$` and itself."""
        char = self.take()
        if char != self.escape:
            return char
        kept = char if self.raw_escapes else ""
        following = self.peek()
        if not following:
            return kept
        return kept + (self.take() if following in f'"${self.escape}' else char)

    def dollar(self) -> str:
        """Read `$name` or `${...}`; a `$` that names nothing is text. Raises UnbalancedError."""
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
        """`${name:-word}` and `${name:+word}`; those that change a value stay as they are written."""
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
        """What a variable holds, nothing when it is not set; as it is written where none are known."""
        return written if self.variables is None else self.variables.get(name, "")

    def name(self) -> str:
        """Read a variable's name: a word, digits alone, or one special parameter; it may be empty."""
        start = self.at
        first = self.peek()
        digits_only = first.isdigit()
        if first and first in _SPECIAL_PARAMETERS and not digits_only:
            return self.take()
        while (char := self.peek()) and (char.isdigit() if digits_only else char.isalnum() or char == "_"):
            self.at += 1
        return self.text[start : self.at]


def raw_words(line: str) -> list[str]:
    """Split a line as BuildKit does to find heredocs; a line that it cannot lex has no words."""
    lexer = _Lexer(line, "\\", None, raw_quotes=True, raw_escapes=True)
    try:
        return lexer.run()[1]
    except UnbalancedError:
        return []


def plain_words(text: str) -> list[str]:
    """Split and unquote one of the raw words; variables stay as they are written."""
    return _Lexer(text, "\\", None).run()[1]


def quoted_words(text: str) -> list[str]:
    """Split one of the raw words without unquoting, but with escapes resolved."""
    return _Lexer(text, "\\", None, raw_quotes=True).run()[1]


def unquote(word: str, escape: str = "\\", variables: Mapping[str, str] | None = None) -> str:
    """Resolve quotes, escapes and, given `variables`, what they replace. Raises UnbalancedError."""
    if word.isalnum():  # most values are: nothing to resolve
        return word
    return _Lexer(word, escape, variables).run()[0]
