// Where the classes and functions of a Python program stand.
import type { Lines } from "./program.ts";

export interface Block {
  kind: "class" | "def";
  name: string; // with the names of those around it: "Orders.confirm"
  lines: Lines; // decorators are part of it
  code: string; // without comments, and without what strings say
}

interface Statement {
  first: number;
  last: number;
  indent: number;
  code: string;
}

const TOKEN =
  /("""|''')(?:\\.|(?!\1).)*(?:\1|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|#[^\n]*|\\\n|[([{]|[)\]}]|\n/gs;
const HEAD = /^(?:async\s+)?(class|def)\s+(\w+)/;

/** The classes and functions of a program, each after those around it. */
export function outline(program: string): Block[] {
  const found: Block[] = [];
  const open: { block: Block; indent: number }[] = [];
  let decorated: number | undefined;
  for (const { first, last, indent, code } of statements(program)) {
    while (open.length && (open.at(-1) as { indent: number }).indent >= indent) open.pop();
    for (const { block } of open) {
      block.lines = [block.lines[0], last];
      block.code += `\n${code}`;
    }
    const head = HEAD.exec(code);
    if (head) {
      const name = [open.at(-1)?.block.name, head[2]].filter(Boolean).join(".");
      const kind = head[1] as Block["kind"];
      const block = { kind, name, lines: [decorated ?? first, last] as Lines, code };
      found.push(block);
      open.push({ block, indent });
    }
    decorated = code.startsWith("@") ? (decorated ?? first) : undefined;
  }
  return found;
}

/** The statements of a program, each with all its lines; what is in brackets or quotes is one. */
function statements(program: string): Statement[] {
  const found: Statement[] = [];
  let [line, first, depth, read, code] = [1, 1, 0, 0, ""];
  const end = () => {
    const indent = code.search(/\S/);
    if (indent >= 0) found.push({ first, last: line, indent, code: code.trim() });
    code = "";
  };
  for (const token of program.matchAll(TOKEN)) {
    const [text] = token;
    code += program.slice(read, token.index);
    read = token.index + text.length;
    if (text === "\n" && depth === 0) {
      end();
      first = line + 1;
    } else if (/^["']/.test(text)) code += '""';
    else if (/^[\s\\]/.test(text)) code += " ";
    else if (!text.startsWith("#")) code += text;
    if (/[([{]/.test(text) && text.length === 1) depth += 1;
    if (/[)\]}]/.test(text) && text.length === 1) depth = Math.max(0, depth - 1);
    line += text.split("\n").length - 1;
  }
  code += program.slice(read);
  end();
  return found;
}
