/** Label selectors, by the grammar of the real parser. Pure. */
import { wrongKey, wrongLabelValue } from './names.ts';
import type { KubeObject } from './object.ts';
import { badRequest } from './status.ts';

export type Matcher = (object: KubeObject) => boolean;

/** Symbols stand alone; everything else up to white space or a symbol is a word. */
const TOKEN = /\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)/y;

const isWord = (token: string): boolean => token !== '' && !/^(==|!=|[=!(),<>])$/.test(token);

/** '' is the end. */
function tokens(text: string): readonly string[] {
  const found: string[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) found.push(match[1] as string);
  return found;
}

const unparsable = (why: string) => badRequest(`unable to parse requirement: ${why}`);

const found = (token: string, expected: string): string => `found '${token}', expected: ${expected}`;

const OPERATORS = 'in, notin, =, ==, !=, gt, lt';

type Reader = { readonly peek: () => string; readonly next: () => string };

function reader(text: string): Reader {
  const all = tokens(text);
  let at = 0;
  return {
    peek: () => all[at] ?? '',
    next: () => {
      at += 1;
      return all[at - 1] ?? '';
    },
  };
}

function readKey({ next }: Reader): string {
  const key = next();
  if (!isWord(key)) throw unparsable(found(key, 'identifier'));
  const wrong = wrongKey(key);
  if (wrong !== undefined) throw unparsable(`<nil>: Invalid value: "${key}": ${wrong}`);
  return key;
}

/** Words between parentheses; an empty place is an empty value. */
function readSet({ peek, next }: Reader): readonly string[] {
  if (peek() !== '(') throw unparsable(`found '${peek()}' expected: '('`);
  next();
  const values: string[] = [];
  let value = '';
  for (;;) {
    const token = next();
    if (token === ',' || token === ')') {
      values.push(value);
      value = '';
      if (token === ')') return values;
    } else if (isWord(token) && value === '') value = token;
    else throw unparsable(found(token, "',' or ')'"));
  }
}

function readValue({ peek, next }: Reader): string {
  if (peek() === '' || peek() === ',') return '';
  const value = next();
  if (!isWord(value)) throw unparsable(found(value, 'identifier'));
  return value;
}

const INTEGER = /^[+-]?\d+$/;

function compared(key: string, operator: '<' | '>', limit: string): Matcher {
  if (!INTEGER.test(limit))
    throw unparsable(
      `values[0]: Invalid value: "${limit}": for 'Gt', 'Lt' operators, the value must be an integer`,
    );
  return object => {
    const label = object.metadata.labels?.[key] ?? '';
    if (!INTEGER.test(label)) return false;
    return operator === '>' ? Number(label) > Number(limit) : Number(label) < Number(limit);
  };
}

function oneOf(key: string, values: readonly string[], wanted: boolean): Matcher {
  for (const [n, value] of values.entries()) {
    const wrong = wrongLabelValue(value);
    if (wrong !== undefined) throw unparsable(`values[${n}][${key}]: Invalid value: "${value}": ${wrong}`);
  }
  // A label that is not there is none of the values.
  return object => {
    const label = object.metadata.labels?.[key];
    return (label !== undefined && values.includes(label)) === wanted;
  };
}

function readRequirement(input: Reader): Matcher {
  const { peek, next } = input;
  const absent = peek() === '!';
  if (absent) next();
  const key = readKey(input);
  if (absent || peek() === '' || peek() === ',')
    return object => (object.metadata.labels?.[key] === undefined) === absent;
  const operator = next();
  switch (operator) {
    case 'in':
    case 'notin':
      return oneOf(key, readSet(input), operator === 'in');
    case '=':
    case '==':
    case '!=':
      return oneOf(key, [readValue(input)], operator !== '!=');
    case '<':
    case '>':
      return compared(key, operator, readValue(input));
    default:
      throw unparsable(found(operator, OPERATORS));
  }
}

/** All requirements. Throws ApiFailure 400 where the text cannot be read. */
export function labelMatcher(text: string): Matcher {
  const input = reader(text);
  const all: Matcher[] = [];
  for (let separator = ''; ; separator = input.next()) {
    const token = input.peek();
    if (token === '' && separator === '') break;
    if (!isWord(token) && token !== '!')
      throw badRequest(
        separator === ','
          ? found(token, "identifier after ','")
          : found(token, "!, identifier, or 'end of string'"),
      );
    all.push(readRequirement(input));
    if (input.peek() === '') break;
    if (input.peek() !== ',') throw badRequest(found(input.peek(), "',' or 'end of string'"));
  }
  return object => all.every(matches => matches(object));
}
