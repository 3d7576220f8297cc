/** Link names ⇄ indexes, asked of the kernel each time: a link may be made anew under its name. */
import { LinuxError } from './errors.ts';
import type { Links } from './types.ts';

/** AF_INET, AF_INET6. */
export const AF = { 4: 2, 6: 10 } as const;

export type Indexes = {
  /** Rejects with ENODEV. */
  readonly of: (name: string) => Promise<number>;
  /** Absent when there is no such link (any more). */
  readonly name: (index: number) => Promise<string | undefined>;
  readonly names: () => Promise<ReadonlyMap<number, string>>;
};

export const indexesOn = (links: Links): Indexes => ({
  of: async name => {
    const link = await links.get(name);
    if (link === undefined) throw new LinuxError('ENODEV', `there is no link ${name}`);
    return link.index;
  },
  name: async index => (await links.at(index))?.name,
  names: async () => new Map((await links.list()).map(link => [link.index, link.name])),
});
