/** Kubernetes objects → YAML that people read and edit. Pure. */
import { Document, isMap, isNode, isPair, isScalar, isSeq, type Node, visit, type YAMLSeq } from 'yaml';

/**
 * One object of the API server and the comments of its YAML. A comment's key is the path of the key or
 * list item that it stands above: `spec.template.spec.containers.0.env`, or `` for the whole object.
 * Keys that have dots themselves cannot carry one.
 */
export type Manifest = {
  readonly object: object;
  readonly comments?: Readonly<Record<string, string>>;
};

const commentText = (comment: string): string =>
  comment
    .split('\n')
    .map(line => (line === '' ? '' : ` ${line}`))
    .join('\n');

/** The node that a comment must hang on: a pair's key, or an item of a list. */
const place = (parent: unknown, key: string): { readonly at: Node; readonly value: unknown } | undefined => {
  if (isSeq(parent)) {
    const item = parent.items[Number(key)];
    return isNode(item) ? { at: item, value: item } : undefined;
  }
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find(p => isPair(p) && isScalar(p.key) && p.key.value === key);
  return pair && isNode(pair.key) ? { at: pair.key, value: pair.value } : undefined;
};

const annotate = (document: Document, path: string, comment: string): void => {
  let found = place(document.contents, path.split('.')[0] ?? '');
  for (const key of path.split('.').slice(1)) found = found && place(found.value, key);
  if (!found) throw new Error(`there is nothing at ${path} to comment on`);
  found.at.commentBefore = commentText(comment);
};

/** Longest list that is printed on one line. */
const FLOW_WIDTH = 60;

const isShort = (list: YAMLSeq): boolean =>
  list.items.every(isScalar) && list.items.map(item => String(item.value)).join(', ').length <= FLOW_WIDTH;

const flowShortLists = (document: Document): void =>
  visit(document, {
    Seq: (_, list) => {
      if (isShort(list)) list.flow = true;
    },
  });

const render = ({ object, comments = {} }: Manifest): string => {
  const document = new Document(object);
  flowShortLists(document);
  for (const [path, comment] of Object.entries(comments))
    if (path === '' && document.contents) document.contents.commentBefore = commentText(comment);
    else annotate(document, path, comment);
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
};

/** The objects in their order, one document each. @throws when a comment's path leads nowhere */
export const renderYaml = (header: string, manifests: readonly Manifest[]): string =>
  [`${commentText(header).replace(/^/gm, '#')}\n`, ...manifests.map(render)].join('---\n');
