"""The text that is written for a value, by position."""

from pathlib import PurePosixPath

import pytest

from dfgen.errors import InputError
from tests.unit.templating.helpers import TemplateFolder

HARD = "a b'c\"d$e`f\\"

WRITTEN = [
    # Harmless values are unchanged.
    ("FROM {{ v }}", "docker.io/library/nginx:1.28", "FROM docker.io/library/nginx:1.28"),
    ("LABEL a={{ v }}", "1.2.3-r0", "LABEL a=1.2.3-r0"),
    ("RUN apk add {{ v }}", "curl=7.88.1-10+deb12u5", "RUN apk add curl=7.88.1-10+deb12u5"),
    ("RUN apt-get install -y {{ v }}", "tzdata=2024a~deb12", "RUN apt-get install -y tzdata=2024a~deb12"),
    ("WORKDIR /srv/{{ v }}", "a-b", "WORKDIR /srv/a-b"),
    ("EXPOSE {{ v }}", 8080, "EXPOSE 8080"),
    ("ENV A={{ v }}", True, "ENV A=true"),
    ("WORKDIR {{ v }}", PurePosixPath("/a b"), 'WORKDIR "/a b"'),
    ("RUN a {{ 3 }} {{ 'x;' }}", None, "RUN a 3 x;"),
    # ENV, LABEL, ARG, and other text for BuildKit's lexer.
    ("LABEL a={{ v }} b=c", HARD, 'LABEL a="a b\'c\\"d\\$e`f\\\\" b=c'),
    ('LABEL a="{{ v }}" b=c', HARD, 'LABEL a="a b\'c\\"d\\$e`f\\\\" b=c'),
    ("LABEL a='{{ v }}' b=c", HARD, "LABEL a='a b'\\''c\"d$e`f\\' b=c"),
    ("LABEL x.{{ v }}=1", "io/k8s", "LABEL x.io/k8s=1"),
    ("LABEL {{ v }}a=1", "", "LABEL a=1"),
    ("ENV A={{ v }}", "", 'ENV A=""'),
    ("ENV A={{ v }}", "é", 'ENV A="é"'),
    ("ENV A=x{{ v }}", "", "ENV A=x"),
    ("ENV A {{ v }}", "a b", 'ENV A "a b"'),
    ("ENV A=$X{{ v }}", "a", 'ENV A=$X"a"'),
    ('ENV A="$X{{ v }}"', "a", 'ENV A="$X""a"'),
    ('ENV A="$X{{ v }}"', "/a", 'ENV A="$X/a"'),
    ("ENV A=${{ v }}", "HOME", "ENV A=$HOME"),
    ("ARG A={{ v }}", "a b", 'ARG A="a b"'),
    ("USER {{ v }}", "a b", 'USER "a b"'),
    ("WORKDIR {{ v }}", "--x", 'WORKDIR "--x"'),
    ("COPY {{ v }} /x", "a$b", 'COPY "a\\$b" /x'),
    ("COPY {{ v }} /x", "*.jar", 'COPY "*.jar" /x'),
    ("COPY {{ v }} /x", "<<EOF", 'COPY "<<EOF" /x'),
    # Shell form.
    ("RUN echo {{ v }}", "curl=7.* && rm -rf /", "RUN echo 'curl=7.*' '&&' rm -rf /"),
    ("RUN echo {{ v | quote }}", "a  b", "RUN echo 'a  b'"),
    ("RUN echo {{ v | quote }}", "", "RUN echo ''"),
    ("RUN echo {{ v }} b", "", "RUN echo  b"),
    ("RUN echo --with={{ v }}", "a b", "RUN echo --with='a b'"),
    ('RUN echo "{{ v }}"', HARD, 'RUN echo "a b\'c\\"d\\$e\\`f\\\\"'),
    ("RUN echo '{{ v }}'", HARD, "RUN echo 'a b'\\''c\"d$e`f\\'"),
    ('RUN echo "$(echo {{ v }})"', "a;b", "RUN echo \"$(echo 'a;b')\""),
    ("RUN {{ v }} x", "PATH=/evil", "RUN 'PATH=/evil' x"),
    ("RUN a && {{ v }} x", "PATH=/evil", "RUN a && 'PATH=/evil' x"),
    ("RUN A=1 {{ v }} x", "PATH=/evil", "RUN A=1 'PATH=/evil' x"),
    ("RUN install a=1 {{ v }}", "b=2", "RUN install a=1 b=2"),
    ("RUN {{ v }} x", "if", "RUN 'if' x"),
    ("RUN {{ v }} x", "--network=host", "RUN '--network=host' x"),
    ("RUN echo {{ v }}>x", "2", "RUN echo '2'>x"),
    ("RUN echo > {{ v }}", "a b", "RUN echo > 'a b'"),
    ("RUN ls {{ v }}", "~root", "RUN ls '~root'"),
    ("RUN A={{ v }} x", "~root", "RUN A='~root' x"),
    ("RUN echo $X{{ v }}", "a", "RUN echo $X'a'"),
    ('RUN echo "$X{{ v }}"', "a", 'RUN echo "$X""a"'),
    ("RUN echo {{ v }} # c", "a b", "RUN echo a b # c"),
    ("RUN echo $(({{ v }} + 1))", 2, "RUN echo $((2 + 1))"),
    ("RUN echo ${X:-{{ v }}}", "a.b", "RUN echo ${X:-a.b}"),
    ("RUN echo `echo {{ v }}`", "a.b", "RUN echo `echo a.b`"),
    ("RUN bash -ec 'echo {{ v }}'", "a.b", "RUN bash -ec 'echo a.b'"),
    ("RUN sh -c 'echo {{ v | quote }}'", "a'b", "RUN sh -c 'echo '\\''a'\\''\\'\\'''\\''b'\\'''"),
    ('RUN sh -c "echo {{ v | quote }}"', "a$b", "RUN sh -c \"echo 'a\\$b'\""),
    ('RUN tail -c "{{ v }}"', "a b", 'RUN tail -c "a b"'),
    ('RUN echo -e "{{ v }}"', "a b", 'RUN echo -e "a b"'),
    ("CMD exec {{ v }}", '["a"]', "CMD exec '[\"a\"]'"),
    ("CMD {{ v }}", '["a"]', "CMD '[\"a\"]'"),
    ("HEALTHCHECK --interval={{ v }} CMD curl {{ v }}", "3s", "HEALTHCHECK --interval=3s CMD curl 3s"),
    ("ONBUILD RUN echo {{ v }}", "a;b", "ONBUILD RUN echo 'a;b'"),
    # Where quotes and substitutions end.
    ('RUN echo "x \\" {{ v }}" \\" {{ v }}', "a;b", 'RUN echo "x \\" a;b" \\" \'a;b\''),
    ("RUN echo '\\' {{ v }}", "a;b", "RUN echo '\\' 'a;b'"),
    ("RUN echo \"$(echo ')' \"x\" {{ v }})\" {{ v }}", "a;b", "RUN echo \"$(echo ')' \"x\" 'a;b')\" 'a;b'"),
    ("RUN echo ${X:-${Y}} {{ v }}", "a;b", "RUN echo ${X:-${Y}} 'a;b'"),
    ("RUN echo ${X:-$(echo {{ v }})} {{ v }}", "a;b", "RUN echo ${X:-$(echo 'a;b')} 'a;b'"),
    ("RUN echo $((1 + (2 * 3))) {{ v }}", "a;b", "RUN echo $((1 + (2 * 3))) 'a;b'"),
    ("RUN echo $(( ${X} + ((2)) + $(echo {{ v }}) )) {{ v }}", "a;b",
     "RUN echo $(( ${X} + ((2)) + $(echo 'a;b') )) 'a;b'"),
    ('RUN echo "`echo x`{{ v }}"', "a;b", 'RUN echo "`echo x`a;b"'),
    ("RUN (a; b) && sh -c 'c' {{ v }}", "a;b", "RUN (a; b) && sh -c 'c' 'a;b'"),
    ("RUN echo a#{{ v }}", "b c", "RUN echo a#'b c'"),
    ("RUN case x in y) echo {{ v }};; esac", "a;b", "RUN case x in y) echo 'a;b';; esac"),
    ("RUN <<EOF\n# it's\necho {{ v }}\nEOF", "a;b", "RUN <<EOF\n# it's\necho 'a;b'\nEOF"),
    ('LABEL a="x \\" {{ v }}" b=\\"{{ v }}', "c d", 'LABEL a="x \\" c d" b=\\""c d"'),
    # Exec form.
    ('CMD ["{{ v }}"]', "a\n\"b\\\u202e\x7f", 'CMD ["a\\n\\"b\\\\\\u202e\\u007f"]'),
    ('CMD ["a", {{ v | tojson }}]', "b\"c", 'CMD ["a", "b\\"c"]'),
    ("CMD {{ v | tojson }}", ["a", "b c"], 'CMD ["a", "b c"]'),
    ("CMD [{{ v | tojson }}]", "a", 'CMD ["a"]'),
    ('COPY ["{{ v }}", "/x"]', "a $b", 'COPY ["a \\\\$b", "/x"]'),
    ('CMD ["sh", "-c", "echo {{ v | quote }}"]', 'a "b"', "CMD [\"sh\", \"-c\", \"echo 'a \\\"b\\\"'\"]"),
    ('SHELL ["{{ v }}", "-c"]', "/bin/bash", 'SHELL ["/bin/bash", "-c"]'),
    ('HEALTHCHECK CMD ["a", "{{ v }}"]', "b c", 'HEALTHCHECK CMD ["a", "b c"]'),
    # JSON elsewhere: a string is a value, anything else is text.
    ("LABEL a={{ v | tojson }}", "b c", 'LABEL a="b c"'),
    ("LABEL a={{ v | tojson }}", {"b": [1]}, 'LABEL a="{\\"b\\": [1]}"'),
    ("RUN echo {{ v | tojson }}", "b;c", "RUN echo 'b;c'"),
    # Comments, directives, MAINTAINER.
    ("# {{ v }}", 'x \\ "', '# x \\ "'),
    ("RUN a \\\n  # {{ v }}\n  b", "x\\", "RUN a \\\n  # x\\\n  b"),
    ("MAINTAINER {{ v }}", "A <a@b>", "MAINTAINER A <a@b>"),
    # Heredocs.
    ("COPY <<'EOF' /x\n{{ v }}\nEOF", "a\n$b\\", "COPY <<'EOF' /x\na\n$b\\\nEOF"),
    ("COPY <<EOF /x\n{{ v }} $c\nEOF", "a\n$b\\", "COPY <<EOF /x\na\n\\$b\\\\ $c\nEOF"),
    ("RUN <<EOF\necho {{ v }} \"{{ v }}\"\nEOF", "a;b", "RUN <<EOF\necho 'a;b' \"a;b\"\nEOF"),
    ("RUN <<EOF\n#!/bin/bash -e\necho {{ v }}\nEOF", "a;b", "RUN <<EOF\n#!/bin/bash -e\necho 'a;b'\nEOF"),
    ("RUN cat <<'EOF' >/x\n{{ v }}\nEOF", "a $b", "RUN cat <<'EOF' >/x\na $b\nEOF"),
    # An empty value in place of an instruction.
    ("FROM a\n{{ v }}\nUSER b", "", "FROM a\n\nUSER b"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "value", "text"), WRITTEN)
def test_a_value_is_quoted_for_its_position(
    line: str, value: object, text: str, folder: TemplateFolder
) -> None:
    assert folder.render(line, {"v": value}) == f"{text}\n"


def test_the_escape_directive_is_followed(folder: TemplateFolder) -> None:
    text = folder.render("# escape=`\nFROM a\nLABEL a={{ v }} b='{{ v }}' `\n  c=d", {"v": "x'y$z`\\"})
    assert text.splitlines()[2:] == ["LABEL a=\"x'y`$z``\\\" b='x'`''y$z`\\' `", "  c=d"]


def test_shell_is_followed_to_the_next_stage(folder: TemplateFolder) -> None:
    text = 'FROM a\nSHELL ["pwsh"]\nFROM b\nRUN echo {{ v }}\nSHELL ["/bin/bash", "-c"]\nRUN echo {{ v }}'
    assert folder.render(text, {"v": "a;b"}).count("'a;b'") == 2


def test_a_stage_inherits_the_shell_of_its_parent(folder: TemplateFolder) -> None:
    start = 'FROM a AS Low\nSHELL ["pwsh"]\nFROM a\nRUN echo {{ v }}\n'
    assert "'a;b'" in folder.render(start, {"v": "a;b"})
    with pytest.raises(InputError, match="not safe in the shell set by SHELL"):
        folder.render(f"{start}FROM low\nRUN echo {{{{ v }}}}\n", {"v": "a;b"})


def test_a_broken_template_does_not_stop_quoting(folder: TemplateFolder) -> None:
    """BuildKit reports the error; values are written or rejected as usual."""
    for text in ("SHELL [1]\nRUN echo {{ v }}", "ENV <<\nRUN <<E'\nUSER {{ v }}", "COPY <<EOF /x\n# {{ v }}"):
        with pytest.raises(InputError, match="cannot be used in"):
            folder.render(text, {"v": "a\nb"})
        assert folder.render(text, {"v": "ab"}) == text.replace("{{ v }}", "ab") + "\n"
