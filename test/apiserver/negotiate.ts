/** What of an object a client wants to see, from its Accept header. Pure. */
import type { KubeObject } from './object.ts';
import { failure } from './status.ts';

export type View = 'whole' | 'metadata';

type Clause = { readonly type: string; readonly parameters: ReadonlyMap<string, string> };

const clauses = (accept: string): Clause[] =>
  accept.split(',').map(clause => {
    const [type = '', ...parameters] = clause.split(';').map(word => word.trim());
    return {
      type,
      parameters: new Map(
        parameters.map(word => [word.split('=')[0] ?? '', word.slice(word.indexOf('=') + 1)]),
      ),
    };
  });

const VIEWS: Readonly<Record<string, 'one' | 'list'>> = {
  PartialObjectMetadata: 'one',
  PartialObjectMetadataList: 'list',
};

const notAcceptable = (message: string) => failure(406, message);

function viewOfClause({ type, parameters }: Clause, asked: 'one' | 'list'): View | undefined {
  if (type !== 'application/json' && type !== '*/*') return undefined;
  const as = parameters.get('as');
  if (as === undefined) return 'whole';
  const of = VIEWS[as];
  const known = parameters.get('g') === 'meta.k8s.io' && parameters.get('v') === 'v1';
  if (of === undefined || !known) return undefined;
  if (of === asked) return 'metadata';
  throw notAcceptable(
    `you requested ${as}, but the requested object is ${asked === 'list' ? 'a list' : 'not a list'}`,
  );
}

/** The first clause that can be served decides. Throws ApiFailure 406 where none can. */
export function viewOf(accept: string | undefined, asked: 'one' | 'list'): View {
  if (accept === undefined || accept === '') return 'whole';
  for (const clause of clauses(accept)) {
    const view = viewOfClause(clause, asked);
    if (view !== undefined) return view;
  }
  throw notAcceptable('only the following media types are accepted: application/json');
}

/** An object as the view has it. */
export const show = (object: KubeObject, view: View): KubeObject =>
  view === 'whole'
    ? object
    : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
