/** Columns of text, and sentences that keep within a terminal. Pure. */

/** A cell, and how it is painted once its column is as wide as it must be. */
export type Cell = string | { readonly text: string; readonly paint: (text: string) => string };

const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text);

/** Rows of equal length; the first is the heading. Two spaces between columns, none at the end of a line. */
export function table(rows: readonly (readonly Cell[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map(row => textOf(row[i] ?? '').length)));
  const line = (row: readonly Cell[]): string =>
    row
      .map((cell, i) => {
        const text = textOf(cell).padEnd(i === row.length - 1 ? 0 : (widths[i] ?? 0));
        return typeof cell === 'string' ? text : cell.paint(text);
      })
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

/** Words in lines of at most `width` columns, all but the first indented. */
export function wrap(text: string, width: number | undefined, indent: number): string {
  if (width === undefined) return text;
  const room = Math.max(width, indent + 30);
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) as string;
    if (last !== '' && last.length + 1 + word.length > room) lines.push(`${' '.repeat(indent)}${word}`);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `812 B`, `3.4 MiB`. */
export function bytes(n: number): string {
  const power = n < 1_024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(n) / 10));
  const value = n / 1_024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** `0.42 ms`, `12 ms`. */
export const millis = (ms: number | undefined): string =>
  ms === undefined ? '-' : `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`;

export const percent = (share: number | undefined): string =>
  share === undefined ? '-' : `${Math.round(share * 100)}%`;
