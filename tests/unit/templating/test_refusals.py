"""The exact text of every rejection."""

import pytest

from dfgen.errors import InputError
from tests.unit.templating.helpers import TemplateFolder

LINE_BREAK = "it contains a line break; remove it from the value"
ADVICE = "; put the value into an ENV and use the variable here"

REFUSED = [
    ("LABEL a={{ v }}", "a\nb", "LABEL", LINE_BREAK),
    ("# {{ v }}", "a\nb", "a comment", LINE_BREAK),
    ("RUN a \\\n # {{ v }}\n b", "a\nb", "a comment", LINE_BREAK),
    ("RUN echo {{ v }}", "a\x1b", "RUN", "it contains the control character U+001B; remove it from the value"),
    ("RUN echo {{ v }}", "a\u202e", "RUN", "it contains the control character U+202E; remove it from the value"),
    (
        "ENV {{ v }}=a", "a b", "ENV",
        "it contains ' '; a name in ENV may only contain letters, digits and _ . -",
    ),
    (
        "LABEL {{ v }}=a", "", "LABEL",
        "it is empty; a name in LABEL may only contain letters, digits and _ . - / :",
    ),
    (
        "LABEL {{ v }}=a", "--x", "LABEL",
        "it starts with '-'; a name in LABEL may only contain letters, digits and _ . - / :",
    ),
    ("ENV A=${{ v }}", "a-b", "ENV", "it contains '-'; a variable's name may only contain letters, digits and _"),
    ("ENV A=${{ v }}", "1a", "ENV", "it starts with a digit; a variable's name starts with a letter or _"),
    (
        "ENV A=\\{{ v }}", "a b", "ENV",
        "it contains ' ', which is not safe after a backslash or in ${…}; move the value elsewhere",
    ),
    (
        "ENV A=x\\{{ v }} B=c", "", "ENV",
        "it would change the number of words; quote it in the template",
    ),
    (
        "COPY {{ v }} /x", "a b", "COPY",
        'it contains a blank, at which COPY splits its arguments; use a JSON array: COPY ["…", "…"]',
    ),
    (
        'COPY {{ v }}["/a", "/b"]', "--from=tool ", "COPY",
        "it contains a blank, at which COPY splits its arguments; write the option in the template,"
        " COPY --from={{ … }}, or trust the value with `| raw` or `snippets:`",
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
        "it would open or hide a heredoc; move the value away from << or into an ENV",
    ),
    (
        "RUN sh -c 'echo {{ v }}'", "a b", "RUN",
        f"it contains ' ', which is not safe in code for another interpreter{ADVICE}, or print it with | quote",
    ),
    (
        "RUN sed -i 's/a/{{ v }}/' x", "b;c", "RUN",
        f"it contains ';', which is not safe in code for another interpreter{ADVICE}, or print it with | quote",
    ),
    (
        "RUN perl -e '{{ v }}'", "b c", "RUN",
        f"it contains ' ', which is not safe in code for another interpreter{ADVICE}, or print it with | quote",
    ),
    (
        "RUN echo `{{ v }}`", "a b", "RUN",
        f"it contains ' ', which is not safe in backticks{ADVICE}, or write $(…)",
    ),
    ("RUN echo $(({{ v }}))", "a b", "RUN", f"it contains ' ', which is not safe in arithmetic{ADVICE}"),
    ("RUN echo ${X:-{{ v }}}", "a b", "RUN", f"it contains ' ', which is not safe in ${{…}}{ADVICE}"),
    (
        "RUN echo \\{{ v }}", "a b", "RUN",
        "it contains ' ', which is not safe after a backslash; remove the backslash, dfgen quotes the value",
    ),
    (
        "RUN echo $'a' {{ v }}", "a b", "RUN",
        f"it contains ' ', which is not safe in shell code that dfgen cannot analyze{ADVICE}",
    ),
    (
        "RUN echo ${X:-\"a\"} {{ v }}", "a b", "RUN",
        f"it contains ' ', which is not safe in shell code that dfgen cannot analyze{ADVICE}",
    ),
    (
        "RUN echo \"$(case x in y) echo {{ v }};; esac)\"", "a b", "RUN",
        f"it contains ' ', which is not safe in shell code that dfgen cannot analyze{ADVICE}",
    ),
    (
        "RUN sh -c \"$(a) {{ v }}\"", "a b", "RUN",
        f"it contains ' ', which is not safe in shell code that dfgen cannot analyze{ADVICE}",
    ),
    (
        "RUN echo # {{ v }}", "a b", "RUN",
        "it contains ' ', which is not safe in a shell comment; use a Dockerfile comment",
    ),
    (
        'SHELL ["pwsh", "-c"]\nRUN echo {{ v }}', "a b", "RUN",
        f"it contains ' ', which is not safe in the shell set by SHELL{ADVICE}",
    ),
    (
        'CMD ["sh", "-c", "echo {{ v }}"]', "a b", "CMD",
        "it contains ' ', which is not safe in shell code; make it a separate argument, or print it"
        " with | quote",
    ),
    (
        'CMD ["{{ v }}"]', "a\0", "CMD",
        "it contains U+0000, which cannot be passed to a program; remove it",
    ),
    ('CMD ["{{ v }}"]', "\ud800", "CMD", "it contains half of a surrogate pair; remove it from the value"),
    (
        "CMD [{{ v | tojson }}]", 1, "CMD",
        "it is JSON but not a string; an exec form may only contain strings, so quote other values",
    ),
    ("SHELL {{ v }}", "bash", "SHELL", 'SHELL takes a JSON array; write SHELL ["…", "…"]'),
    (
        "RUN [{{ v }}]", "1", "RUN",
        "the arguments would be read as a JSON array; put text before the [",
    ),
    ("RUN {{ v }} --x", "", "RUN", "it would be read as a flag; write the flag in the template"),
    ("RUN {{ v }}", "", "RUN", "RUN would have no arguments; omit it if the value is empty"),
    ("FROM {{ v }}", "a b", "FROM", "it contains ' '; expected an image reference, or a part of one"),
    (
        "FROM a AS {{ v }}", "a/b", "FROM",
        "it contains '/'; a stage name may only contain letters, digits and _ . -",
    ),
    (
        "FROM a {{ v }} b", "AS", "FROM",
        "only the image or the stage name can be a value; write FROM image AS name",
    ),
    (
        "EXPOSE {{ v }}", "80 81", "EXPOSE",
        "it contains ' '; expected one port, for example 8080 or 53/udp",
    ),
    ("STOPSIGNAL {{ v }}", "", "STOPSIGNAL", "it is empty; expected a signal, for example SIGTERM or 15"),
    (
        "HEALTHCHECK {{ v }} a", "CMD", "HEALTHCHECK",
        "only the command can contain a value; write HEALTHCHECK CMD command",
    ),
    (
        "COPY --chown={{ v }} a b", "a b", "a flag of COPY",
        "it contains ' '; a flag's value may only contain letters, digits and _@%+:=,./~^*?-",
    ),
    (
        "RUN --mount=type=cache,target={{ v }} a", "/a,b", "a flag of RUN",
        "it contains ','; a mount's value may only contain letters, digits and _@%+:./~^-",
    ),
    (
        "COPY --from={{ v }} a b", "", "a flag of COPY",
        "it is empty; a flag's value may only contain letters, digits and _@%+:=,./~^*?-",
    ),
    (
        "COPY --from={{ v }}{{ v }} a b", "", "a flag of COPY",
        "the flag would be empty; omit it if the value is empty",
    ),
    (
        "RUN --{{ v }}=a b", "network", "a flag of RUN",
        "a flag's name cannot be a value; print the whole flag with | raw",
    ),
    (
        "{{ v }} a", "RUN", "the first word of a line",
        "an instruction is expected there; if the value is Dockerfile text, declare it as a snippet or print"
        " it with | raw",
    ),
    (
        "INSTALL {{ v }}", "a", "the first word of a line",
        "INSTALL is not an instruction; use one of Docker's instructions",
    ),
    (
        "# {{ v }}\nFROM a", "escape=`", "a comment",
        "the comment would be read as a parser directive; put text before the value",
    ),
    (
        "# escape={{ v }}\nFROM a", "`", "the directive '# escape='",
        "the escape directive changes how every line is read; write it in the template",
    ),
    (
        "# syntax={{ v }}\nFROM a", "a b", "the directive '# syntax='",
        "it contains ' '; expected a valid syntax directive",
    ),
    (
        'RUN echo "a \\\n{{ v }}"', "#b", "RUN",
        "the line would start with '#' and become a comment; start the line with other text",
    ),
    (
        "RUN a \\\n  {{ v }}\nUSER b", "", "RUN",
        "the line would be empty, so BuildKit would join the next instruction to it; omit the line if the"
        " value is empty",
    ),
    (
        "MAINTAINER {{ v }}", "x\\", "MAINTAINER",
        "the \\ at its end would join or split lines; put text or quotes after the value",
    ),
    (
        "RUN cat <<'EOF'\n{{ v }}\nEOF", "a\nb", "a heredoc of RUN",
        "it contains a line break; use COPY with a heredoc for multi-line text",
    ),
    (
        "COPY <<'EOF' /x\n{{ v }}\nEOF", "a\nEOF\nRUN evil", "a heredoc of COPY",
        "it would end the heredoc <<EOF; rename the heredoc",
    ),
    (
        "COPY <<-'EOF' /x\n\t{{ v }}\n\tEOF", "a\n\tb", "a heredoc of COPY",
        "one of its lines starts with a tab, which <<- removes; use << instead",
    ),
    (
        "RUN cat <<EOF\n{{ v }}\nEOF", "a b", "a heredoc of RUN",
        "it contains ' ', which is not safe in a heredoc that is expanded or run; quote its name (<<'EOF') and"
        " read it with cat",
    ),
    (
        "RUN <<EOF\ncat <<X\n{{ v }}\nX\nEOF", "a b", "a heredoc of RUN",
        f"it contains ' ', which is not safe in shell code that dfgen cannot analyze{ADVICE}",
    ),
    (
        "RUN <<EOF\n#!/usr/bin/python3\n{{ v }}\nEOF", "a b", "a heredoc of RUN",
        f"it contains ' ', which is not safe in the shell set by SHELL{ADVICE}",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("line", "value", "where", "reason"), REFUSED)
def test_an_unsafe_value_is_rejected(
    line: str, value: object, where: str, reason: str, folder: TemplateFolder
) -> None:
    with pytest.raises(InputError) as error:
        folder.render(line, {"v": value})
    (problem, *_) = error.value.problems
    expression = "v | tojson" if "tojson" in line else "v"
    written = repr(str(value))
    number = line.split("{{ v", maxsplit=1)[0].count("\n") + 1
    assert str(problem) == (
        f"templates/x.j2:{number}: {expression!r} is {written}, which cannot be used in {where}: {reason}"
    )


def test_every_rejected_value_is_reported_once(folder: TemplateFolder) -> None:
    with pytest.raises(InputError) as error:
        folder.render(
            "FROM a\n{% for i in [1, 2] %}\nEXPOSE {{ v }}\n{% endfor %}\nLABEL {{ v }}=a", {"v": "a b"}
        )
    assert [str(problem).split(",")[0] for problem in error.value.problems] == [
        "templates/x.j2:3: 'v' is 'a b'",
        "templates/x.j2:5: 'v' is 'a b'",
    ]


def test_a_long_value_is_shortened(folder: TemplateFolder) -> None:
    with pytest.raises(InputError) as error:
        folder.render("EXPOSE {{ v }}", {"v": "x y" * 100})
    assert str(error.value).startswith(f"templates/x.j2:1: 'v' is '{'x yx yx y' * 10}"[:80])
    assert "…', which cannot be used in EXPOSE" in str(error.value)
