/** What came of Kubernetes' own tests, from ginkgo's report in JSON: a line for each that was begun. Pure. */

type Spec = {
  readonly LeafNodeType: string;
  readonly LeafNodeText: string;
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly State: string;
  /** Nanoseconds. */
  readonly RunTime: number;
  readonly Failure?: { readonly Message?: string };
};

type Report = { readonly SpecReports: readonly Spec[] | null };

const nameOf = ({ ContainerHierarchyTexts, LeafNodeText }: Spec): string =>
  [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(' ');

/** One that a filter left out has no word of why. */
const wasBegun = ({ LeafNodeType, State, Failure }: Spec): boolean =>
  LeafNodeType === 'It' && (State !== 'skipped' || Boolean(Failure?.Message)) && State !== 'pending';

const line = (spec: Spec): string => {
  const why = spec.State === 'passed' ? '' : `: ${spec.Failure?.Message?.split('\n')[0] ?? ''}`;
  return `${spec.State.padEnd(8)} ${(spec.RunTime / 1e9).toFixed(0).padStart(4)} s  ${nameOf(spec)}${why}`;
};

/** Lines sorted by outcome and name, and the sum of each outcome last. */
export function outcomes(json: string): readonly string[] {
  const specs = (JSON.parse(json) as readonly Report[]).flatMap(report => report.SpecReports ?? []);
  const begun = specs.filter(wasBegun);
  const sums = Map.groupBy(begun, spec => spec.State);
  return [
    ...begun.map(line).sort(),
    [...sums].map(([state, all]) => `${all.length} ${state}`).join(', ') || 'no test has such a name',
  ];
}
