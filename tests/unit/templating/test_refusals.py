"""The exact text of every refusal."""

import pytest

from dfgen.errors import InputError
from tests.unit.templating.helpers import Memory

LINE_BREAK = "it holds a line break; take the line break out of the value"
ADVICE = "; give the value to an ENV and use that variable here"

REFUSED = [
    ("LABEL a={{ v }}", "a\nb", "LABEL", LINE_BREAK),
    ("# {{ v }}", "a\nb", "a comment", LINE_BREAK),
    ("RUN a \\\n # {{ v }}\n b", "a\nb", "a comment", LINE_BREAK),
    ("RUN echo {{ v }}", "a\x1b", "RUN", "it holds the control character U+001B; take it out of the value"),
    ("RUN echo {{ v }}", "a\u202e", "RUN", "it holds the control character U+202E; take it out of the value"),
    (
        "ENV {{ v }}=a", "a b", "ENV",
        "it holds ' '; a name in ENV is made of letters, digits and the signs _ . -",
    ),
    (
        "LABEL {{ v }}=a", "", "LABEL",
        "it is empty; a name in LABEL is made of letters, digits and the signs _ . - / :",
    ),
    (
        "LABEL {{ v }}=a", "--x", "LABEL",
        "it begins with '-'; a name in LABEL is made of letters, digits and the signs _ . - / :",
    ),
    ("ENV A=${{ v }}", "a-b", "ENV", "it holds '-'; only letters, digits and _ can name a variable"),
    ("ENV A=${{ v }}", "1a", "ENV", "it begins with a digit; a variable's name begins with a letter or _"),
    (
        "ENV A=\\{{ v }}", "a b", "ENV",
        "it holds ' ', which is not safe after a backslash or within ${…}; move the value out of there",
    ),
    (
        "ENV A=x\\{{ v }} B=c", "", "ENV",
        "it would be read as more or fewer words; quote the place in the template",
    ),
    (
        "COPY {{ v }} /x", "a b", "COPY",
        'it holds a blank, at which COPY is split; write the instruction with a JSON array: COPY ["…", "…"]',
    ),
    (
        "COPY <<{{ v }} /x\nEOF", "EOF", "COPY",
        "a heredoc's name cannot be a value; write the name in the template",
    ),
    (
        "RUN <<{{ v }}\nEOF", "EOF", "RUN",
        "a heredoc's name cannot be a value; write the name in the template",
    ),
    (
        "RUN {{ v }}<<EOF\nEOF", "", "RUN",
        "it would open or hide a heredoc; put the value away from << or into an ENV",
    ),
    (
        "RUN sh -c 'echo {{ v }}'", "a b", "RUN",
        f"it holds ' ', which is not safe in code for another interpreter{ADVICE}, or print it with | quote",
    ),
    (
        "RUN sed -i 's/a/{{ v }}/' x", "b;c", "RUN",
        f"it holds ';', which is not safe in code for another interpreter{ADVICE}, or print it with | quote",
    ),
    (
        "RUN perl -e '{{ v }}'", "b c", "RUN",
        f"it holds ' ', which is not safe in code for another interpreter{ADVICE}, or print it with | quote",
    ),
    (
        "RUN echo `{{ v }}`", "a b", "RUN",
        f"it holds ' ', which is not safe within backticks{ADVICE}, or write $(…)",
    ),
    ("RUN echo $(({{ v }}))", "a b", "RUN", f"it holds ' ', which is not safe in arithmetic{ADVICE}"),
    ("RUN echo ${X:-{{ v }}}", "a b", "RUN", f"it holds ' ', which is not safe within ${{…}}{ADVICE}"),
    (
        "RUN echo \\{{ v }}", "a b", "RUN",
        "it holds ' ', which is not safe after a backslash; take the backslash away, the value is quoted",
    ),
    (
        "RUN echo $'a' {{ v }}", "a b", "RUN",
        f"it holds ' ', which is not safe in shell text that is not followed this far{ADVICE}",
    ),
    (
        "RUN echo ${X:-\"a\"} {{ v }}", "a b", "RUN",
        f"it holds ' ', which is not safe in shell text that is not followed this far{ADVICE}",
    ),
    (
        "RUN echo \"$(case x in y) echo {{ v }};; esac)\"", "a b", "RUN",
        f"it holds ' ', which is not safe in shell text that is not followed this far{ADVICE}",
    ),
    (
        "RUN sh -c \"$(a) {{ v }}\"", "a b", "RUN",
        f"it holds ' ', which is not safe in shell text that is not followed this far{ADVICE}",
    ),
    (
        "RUN echo # {{ v }}", "a b", "RUN",
        "it holds ' ', which is not safe in a comment of the shell; make it a comment of the Dockerfile",
    ),
    (
        'SHELL ["pwsh", "-c"]\nRUN echo {{ v }}', "a b", "RUN",
        f"it holds ' ', which is not safe for the shell that SHELL has set{ADVICE}",
    ),
    (
        'CMD ["sh", "-c", "echo {{ v }}"]', "a b", "CMD",
        "it holds ' ', which is not safe in code for a shell; make it an argument of its own, or print it"
        " with | quote",
    ),
    (
        'CMD ["{{ v }}"]', "a\0", "CMD",
        "it holds the character U+0000, which no program can be given; take it out",
    ),
    ('CMD ["{{ v }}"]', "\ud800", "CMD", "it holds half of a surrogate pair; take it out of the value"),
    (
        "CMD [{{ v | tojson }}]", 1, "CMD",
        "it is JSON, but not strings; an exec form holds strings only, so quote the others",
    ),
    ("SHELL {{ v }}", "bash", "SHELL", 'SHELL takes a JSON array; write SHELL ["…", "…"]'),
    (
        "RUN [{{ v }}]", "1", "RUN",
        "the arguments would be read as a JSON array; write something before the [",
    ),
    ("RUN {{ v }} --x", "", "RUN", "it would be read as a flag; write the flag in the template"),
    ("RUN {{ v }}", "", "RUN", "RUN would have no argument; leave it out when there is no value"),
    ("FROM {{ v }}", "a b", "FROM", "it holds ' '; expected an image reference, or a part of one"),
    (
        "FROM a AS {{ v }}", "a/b", "FROM",
        "it holds '/'; a stage's name is made of letters, digits and the signs _ . -",
    ),
    (
        "FROM a {{ v }} b", "AS", "FROM",
        "a value can be the image or the stage's name; write FROM image AS name",
    ),
    (
        "EXPOSE {{ v }}", "80 81", "EXPOSE",
        "it holds ' '; expected a port such as 8080 or 53/udp, one a value",
    ),
    ("STOPSIGNAL {{ v }}", "", "STOPSIGNAL", "it is empty; expected a signal such as SIGTERM or 15"),
    (
        "HEALTHCHECK {{ v }} a", "CMD", "HEALTHCHECK",
        "a value can be in the command only; write HEALTHCHECK CMD command",
    ),
    (
        "COPY --chown={{ v }} a b", "a b", "a flag of COPY",
        "it holds ' '; a flag's value is made of letters, digits and _@%+:=,./~^*?-",
    ),
    (
        "RUN --mount=type=cache,target={{ v }} a", "/a,b", "a flag of RUN",
        "it holds ','; a mount's value is made of letters, digits and _@%+:./~^-",
    ),
    (
        "COPY --from={{ v }} a b", "", "a flag of COPY",
        "it is empty; a flag's value is made of letters, digits and _@%+:=,./~^*?-",
    ),
    (
        "COPY --from={{ v }}{{ v }} a b", "", "a flag of COPY",
        "the flag would be empty; leave it out of the template when there is no value",
    ),
    (
        "RUN --{{ v }}=a b", "network", "a flag of RUN",
        "a flag's name cannot be a value; print the whole flag with | raw",
    ),
    (
        "{{ v }} a", "RUN", "the beginning of a line",
        "an instruction is expected there; if the value is Dockerfile text, declare it as a snippet or print"
        " it with | raw",
    ),
    (
        "INSTALL {{ v }}", "a", "the beginning of a line",
        "INSTALL is not an instruction; write one of Docker's instructions",
    ),
    (
        "# {{ v }}\nFROM a", "escape=`", "a comment",
        "the comment would be read as a parser directive; put other text before the value",
    ),
    (
        "# escape={{ v }}\nFROM a", "`", "the directive '# escape='",
        "the escape directive decides how all lines are read; write it in the template",
    ),
    (
        "# syntax={{ v }}\nFROM a", "a b", "the directive '# syntax='",
        "it holds ' '; expected what a syntax directive may say",
    ),
    (
        'RUN echo "a \\\n{{ v }}"', "#b", "RUN",
        "the line would begin with '#' and be a comment; begin the line with other text",
    ),
    (
        "RUN a \\\n  {{ v }}\nUSER b", "", "RUN",
        "the line would be empty, and BuildKit would join the next instruction to it; leave the line out of"
        " the template when there is no value",
    ),
    (
        "MAINTAINER {{ v }}", "x\\", "MAINTAINER",
        "the \\ at its end would join or part lines; put other text, or quotes, behind the value",
    ),
    (
        "RUN cat <<'EOF'\n{{ v }}\nEOF", "a\nb", "a heredoc of RUN",
        "it holds a line break; use COPY with a heredoc for text of several lines",
    ),
    (
        "COPY <<'EOF' /x\n{{ v }}\nEOF", "a\nEOF\nRUN evil", "a heredoc of COPY",
        "it would end the heredoc <<EOF; give the heredoc another name",
    ),
    (
        "COPY <<-'EOF' /x\n\t{{ v }}\n\tEOF", "a\n\tb", "a heredoc of COPY",
        "it has a line that begins with a tab, which <<- takes away; write << instead",
    ),
    (
        "RUN cat <<EOF\n{{ v }}\nEOF", "a b", "a heredoc of RUN",
        "it holds ' ', which is not safe in a heredoc that is expanded or run; quote its name (<<'EOF') and"
        " read it with cat",
    ),
    (
        "RUN <<EOF\ncat <<X\n{{ v }}\nX\nEOF", "a b", "a heredoc of RUN",
        f"it holds ' ', which is not safe in shell text that is not followed this far{ADVICE}",
    ),
    (
        "RUN <<EOF\n#!/usr/bin/python3\n{{ v }}\nEOF", "a b", "a heredoc of RUN",
        f"it holds ' ', which is not safe for the shell that SHELL has set{ADVICE}",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("line", "value", "where", "reason"), REFUSED)
def test_a_value_without_a_place_is_refused(
    line: str, value: object, where: str, reason: str, memory: Memory
) -> None:
    with pytest.raises(InputError) as error:
        memory.render(line, {"v": value})
    (problem, *_) = error.value.problems
    expression = "v | tojson" if "tojson" in line else "v"
    written = repr(str(value))
    number = line.split("{{ v", maxsplit=1)[0].count("\n") + 1
    assert str(problem) == (
        f"templates/x.j2:{number}: {expression!r} is {written}, which cannot stand in {where}: {reason}"
    )


def test_every_refused_value_is_told_once(memory: Memory) -> None:
    with pytest.raises(InputError) as error:
        memory.render(
            "FROM a\n{% for i in [1, 2] %}\nEXPOSE {{ v }}\n{% endfor %}\nLABEL {{ v }}=a", {"v": "a b"}
        )
    assert [str(problem).split(",")[0] for problem in error.value.problems] == [
        "templates/x.j2:3: 'v' is 'a b'",
        "templates/x.j2:5: 'v' is 'a b'",
    ]


def test_a_long_value_is_shortened(memory: Memory) -> None:
    with pytest.raises(InputError) as error:
        memory.render("EXPOSE {{ v }}", {"v": "x y" * 100})
    assert str(error.value).startswith(f"templates/x.j2:1: 'v' is '{'x yx yx y' * 10}"[:80])
    assert "…', which cannot stand in EXPOSE" in str(error.value)
