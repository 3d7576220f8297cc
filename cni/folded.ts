/**
 * An object's fields by their names in small letters. Runtimes are written in Go, whose decoder
 * takes any spelling, and they use that: containerd writes `HostPort` where the conventions have
 * `hostPort`. Pure.
 */
export const folded = (value: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(value).map(([name, field]) => [name.toLowerCase(), field as unknown]));
