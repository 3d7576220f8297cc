/** The logger as the rooms see it: pino's shape, none of its weight. */
export type Log = {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
};

type LogLine = (facts: Readonly<Record<string, unknown>>, message: string) => void;
