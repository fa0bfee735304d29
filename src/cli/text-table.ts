import { type Style, widthOf } from "./style.ts";

/** Rows under their headings, aligned; the columns named in `right` (numbers) to the right. */
export function textTable(
  style: Style,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  options: { readonly right?: readonly number[] } = {},
): string {
  const widths = headings.map((heading, index) => rows.reduce((max, row) => Math.max(max, widthOf(row[index] ?? "")), heading.length));
  const line = (cells: readonly string[]) =>
    cells.map((cell, index) => padded(cell, widths[index] ?? 0, index, cells.length, options)).join("  ");
  return (
    [headings.map((heading) => heading.toUpperCase()), ...rows]
      .map((cells, index) => (index === 0 ? style.dim(line(cells)) : line(cells)))
      .join("\n") + "\n"
  );
}

function padded(cell: string, width: number, index: number, count: number, { right = [] }: { readonly right?: readonly number[] }): string {
  const space = " ".repeat(Math.max(0, width - widthOf(cell)));
  if (right.includes(index)) return space + cell;
  return index === count - 1 ? cell : cell + space;
}

/** "a  1" lines with the names aligned. */
export function fieldLines(style: Style, fields: readonly (readonly [name: string, text: string])[]): string {
  const width = fields.reduce((max, [name]) => Math.max(max, name.length), 0);
  return fields.map(([name, text]) => `${style.dim(name.padEnd(width))}  ${text}\n`).join("");
}
