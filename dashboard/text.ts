/** Values as people read them, and text as HTML holds it. Pure. */

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Safe as an element's text and inside a quoted attribute. */
export const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, c => ENTITIES[c] as string);

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function bytes(n: number): string {
  const unit = n < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(n) / 10));
  const value = n / 1024 ** unit;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const millis = (ms: number | undefined): string =>
  ms === undefined ? '–' : `${ms.toFixed(ms < 10 ? 2 : 0)} ms`;

export function age(ms: number | undefined): string {
  if (ms === undefined) return 'never';
  const s = Math.round(ms / 1000);
  if (s < 120) return `${s} s ago`;
  return s < 7200 ? `${Math.round(s / 60)} min ago` : `${Math.round(s / 3600)} h ago`;
}

export const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
