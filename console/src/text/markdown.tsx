// Markdown as elements. No text of a model ever becomes markup: the parser gives tokens, and each token
// becomes an element that is named here, or text.

import MarkdownIt from "markdown-it";
import { type ComponentChild, createElement } from "preact";

const parser = new MarkdownIt({ html: false, linkify: true, breaks: true });

type Token = ReturnType<typeof parser.parse>[number];

/** The elements that Markdown may make. */
const ELEMENTS = new Set(
  "p ul ol li blockquote table thead tbody tr th td em strong s h3 h4 h5 h6".split(" "),
);
/** Where a link may lead. */
const LINKS = /^(https?:|mailto:)/i;
/** Longer ones are shown as they are: they would be parsed anew with every piece. */
const LONGEST = 200_000;

/** Headings stand below those of the page. */
const elementOf = ({ tag }: Token): string =>
  /^h[1-6]$/.test(tag) ? `h${Math.min(6, Number(tag[1]) + 2)}` : tag;

function attribute(token: Token, name: string): string | null {
  const value = token.attrGet(name);
  return value === null ? null : String(value);
}

interface Level {
  token: Token | null;
  children: ComponentChild[];
}

function build(tokens: Token[]): ComponentChild[] {
  const levels: Level[] = [{ token: null, children: [] }];
  for (const token of tokens) {
    if (token.nesting === 1) {
      levels.push({ token, children: [] });
      continue;
    }
    const closed = token.nesting === -1 && levels.length > 1 ? levels.pop() : undefined;
    const made = closed?.token ? nested(closed.token, closed.children) : leaf(token);
    levels.at(-1)?.children.push(made);
  }
  // What is still open is shown all the same.
  return levels.flatMap(({ children }) => children);
}

function nested(token: Token, children: ComponentChild[]): ComponentChild {
  // The paragraphs of tight lists.
  if (token.hidden) return children;
  const tag = elementOf(token);
  if (tag === "a") return link(attribute(token, "href"), children);
  if (!ELEMENTS.has(tag)) return children;
  const props: Record<string, string> = {};
  const align = /text-align:(\w+)/.exec(attribute(token, "style") ?? "")?.[1];
  if (align) props["data-align"] = align;
  const start = token.attrGet("start");
  if (tag === "ol" && start !== null) props["start"] = String(start);
  const made = createElement(tag, props, ...children);
  return tag === "table" ? <div class="table" tabIndex={0} role="group" aria-label="Table">{made}</div> : made;
}

function link(href: string | null, children: ComponentChild[]): ComponentChild {
  if (href === null || !LINKS.test(href)) return children;
  return <a href={href} target="_blank" rel="noopener noreferrer">{children}</a>;
}

function leaf(token: Token): ComponentChild {
  switch (token.type) {
    case "inline":
      return build(token.children ?? []);
    case "code_inline":
      return <code>{token.content}</code>;
    case "fence":
    case "code_block":
      return <Code text={token.content} language={token.info.trim().split(/\s/)[0] ?? ""} />;
    case "hr":
      return <hr />;
    case "softbreak":
    case "hardbreak":
      return <br />;
    case "image":
      // Nothing is fetched because a model said so.
      return link(attribute(token, "src"), [`🖼 ${token.content || "picture"}`]) ?? token.content;
    default:
      return token.content;
  }
}

function Code({ text, language }: { text: string; language: string }) {
  return (
    <pre tabIndex={0} data-language={language || undefined}>
      <code>{text}</code>
    </pre>
  );
}

export function Markdown({ text }: { text: string }) {
  if (text.length > LONGEST) return <div class="text">{text}</div>;
  return <div class="text markdown">{build(parser.parse(text, {}))}</div>;
}
