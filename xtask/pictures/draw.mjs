// Draws the README's pictures for dark and light pages, as SVG, with the charts' library of the report: what the demo measured, before and
// after, and the CPU and memory of the benchmarks' contenders. `cargo xtask docs` and `cargo xtask bench --quick` run it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const root = new URL("../../", import.meta.url);
const echarts = createRequire(new URL("infra/package.json", root))("echarts");
// The benchmarks' page, the pictures' folder, and the demo's figures, if there are any.
const [page, folder, figures] = process.argv.slice(2);

const THEMES = {
  light: { text: "#1d1d1b", quiet: "#5f5e5a", line: "#e3e2de", before: "#b4611f", after: "#1f66b8" },
  dark: { text: "#ecebe6", quiet: "#a9a8a2", line: "#3d4044", before: "#e39a5b", after: "#6ea8f0" },
};
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";
const number = (value) => value.toLocaleString("en");

const said = (theme, text, left, top, { size = 13, weight = "normal", shade = "text" } = {}) => ({
  type: "text",
  left,
  top,
  style: { text, fill: theme[shade], font: `${weight} ${size}px ${FONT}` },
});

// One day's rows: in which folders they lie, before and after.
function beforeAndAfter(theme, { day, rows, before, after }) {
  const short = (folder) => folder.split("/").slice(-2).join("/");
  const labels = before.folders.map(([folder]) => `${short(folder)}/`);
  const values = before.folders.map(([, count]) => count);
  const grids = [
    { left: 56, top: 92, width: 440, height: 170 },
    { left: 600, top: 92, width: 200, height: 170 },
  ];
  const axis = { axisLine: { lineStyle: { color: theme.line } }, axisTick: { show: false }, axisLabel: { color: theme.quiet, interval: 0 } };
  const bars = (place, data, shade) => ({
    type: "bar",
    xAxisIndex: place,
    yAxisIndex: place,
    data,
    barMaxWidth: 46,
    itemStyle: { color: theme[shade] },
    label: { show: true, position: "top", color: theme.text, formatter: ({ value }) => number(value) },
  });
  const y = (place) => ({ type: "value", gridIndex: place, max: Math.ceil(rows / 200) * 200, axisLabel: { show: false }, splitLine: { show: false } });
  const [name] = after.folders[0];
  return {
    width: 860,
    height: 310,
    option: {
      grid: grids,
      xAxis: [
        { type: "category", gridIndex: 0, data: labels, ...axis },
        { type: "category", gridIndex: 1, data: [short(name).replace("month=", "").replace("day=", "") + "/"], ...axis },
      ],
      yAxis: [y(0), y(1)],
      series: [bars(0, values, "before"), bars(1, after.folders.map(([, count]) => count), "after")],
      graphic: [
        said(theme, `Where the ${number(rows)} flights of ${day} lie`, 20, 10, { size: 17, weight: "600" }),
        said(theme, "Before: by when they arrived", 20, 42, { size: 14, weight: "600", shade: "before" }),
        said(theme, `${before.objects} objects to read, ${before.bytes} of gzip'd JSON`, 20, 62, { shade: "quiet" }),
        said(theme, "After: by when they happened", 564, 42, { size: 14, weight: "600", shade: "after" }),
        said(theme, `${after.objects} ${after.objects === "1" ? "file" : "files"}, ${after.bytes} of Parquet`, 564, 62, { shade: "quiet" }),
        said(theme, "month/day of the folder; flights in it", 20, 286, { size: 12, shade: "quiet" }),
      ],
    },
  };
}

// The tables of the benchmarks' page: each section's lines by their first column.
function results() {
  const text = readFileSync(page, "utf8");
  return (chapter, section) => {
    const [, body] = text.split(`# ${chapter} beside `);
    const [, table] = (body ?? "").split(`### ${section}`);
    if (table === undefined) throw new Error(`${page} has no section ${section} of ${chapter}`);
    const lines = table.split("\n## ")[0].split("\n### ")[0].split("\n").filter((line) => line.startsWith("|"));
    const cells = lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    const head = cells[0];
    return new Map(cells.slice(2).map((row) => [row[0], Object.fromEntries(head.map((name, place) => [name, row[place]]))]));
  };
}

const JOBS = [
  ["rekey: 1 M records into hours", "rekey", "1m", "Lakewright, 256 MB, batch"],
  ["compact: 2,000 files into 24", "compact", "2,000 files", "Lakewright, 256 MB, as they were"],
  ["repartition: by two columns", "repartition", "200,000 rows", "Lakewright, 256 MB"],
  ["repartition: into one and two files", "repartition", "1,000,000 rows", "Lakewright, 256 MB"],
  ["repartition: 300 files in one, twice", "repartition", "911,516 rows", "Lakewright, 256 MB"],
];
const PEERS = { DuckDB: "circle", Polars: "triangle", pyarrow: "diamond", Spark: "rect" };

// CPU and memory, on logarithmic axes: a dot for each contender of each job.
function peers(theme) {
  const section = results();
  const tables = JOBS.map(([, chapter, title]) => section(chapter, title));
  const present = Object.entries(PEERS).filter(([name]) => tables.every((table) => table.has(name)));
  const of = (table, name, column) => {
    const row = table.get(name);
    if (!row) throw new Error(`${page} has no line of ${name}`);
    return Number(row[column].replaceAll(",", ""));
  };
  const panel = (place, column) => {
    const dots = (names) => tables.map((table, at) => [of(table, names(at), column), at]);
    const shown = (name, names, symbol, color, size, filled) => ({
      name,
      type: "scatter",
      xAxisIndex: place,
      yAxisIndex: place,
      data: dots(names),
      symbol,
      symbolSize: size,
      itemStyle: filled ? { color } : { color: "transparent", borderColor: color, borderWidth: 1.6 },
      label: filled ? { show: true, position: "top", distance: 3, color, fontWeight: 600, formatter: ({ value }) => number(value[0]) } : undefined,
    });
    return [
      ...present.map(([name, symbol]) => shown(name, () => name, symbol, theme.quiet, 10, false)),
      shown("Lakewright", (at) => JOBS[at][3], "circle", theme.after, 13, true),
    ];
  };
  const grids = [
    { left: 250, top: 84, width: 270, height: 210 },
    { left: 560, top: 84, width: 270, height: 210 },
  ];
  const x = (place, min, max) => ({
    type: "log",
    gridIndex: place,
    min,
    max,
    axisLabel: { color: theme.quiet, formatter: (value) => number(value) },
    splitLine: { lineStyle: { color: theme.line } },
  });
  const y = (place) => ({
    type: "category",
    gridIndex: place,
    inverse: true,
    data: JOBS.map(([name]) => name),
    axisLabel: { show: place === 0, color: theme.text, fontSize: 13 },
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { show: true, lineStyle: { color: theme.line } },
  });
  return {
    width: 860,
    height: 340,
    option: {
      grid: grids,
      legend: { left: 250, top: 10, itemGap: 26, data: ["Lakewright", ...present.map(([name]) => name)], textStyle: { color: theme.text, fontSize: 13 }, selectedMode: false },
      xAxis: [x(0, 0.1, 100), x(1, 10, 10_000)],
      yAxis: [y(0), y(1)],
      series: [...panel(0, "CPU s"), ...panel(1, "peak MB")],
      graphic: [
        said(theme, "CPU, seconds", 250, 52, { size: 14, weight: "600" }),
        said(theme, "Peak memory, MB", 560, 52, { size: 14, weight: "600" }),
        said(theme, "logarithmic; less is better", 250, 320, { size: 12, shade: "quiet" }),
      ],
    },
  };
}

function svg({ width, height, option }, title) {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption({ animation: false, textStyle: { fontFamily: FONT }, backgroundColor: "transparent", ...option });
  // Classes are for a pointer, which a picture does not have, and are named by what the process has drawn before.
  const text = chart
    .renderToSVGString()
    .replace(/<style[^]*?<\/style>\s*/g, "")
    .replace(/ class="[^"]*"/g, "")
    .replace(/\bzr\d+-/g, "zr-");
  chart.dispose();
  // For those who hear it.
  return `${text.replace(/(<svg[^>]*)>/, `$1 role="img" aria-label="${title}">\n<title>${title}</title>`)}\n`;
}

mkdirSync(folder, { recursive: true });
for (const [name, theme] of Object.entries(THEMES)) {
  const write = (file, drawing, title) => writeFileSync(join(folder, `${file}-${name}.svg`), svg(drawing, title));
  write("peers", peers(theme), "CPU and peak memory of Lakewright, DuckDB, Polars, pyarrow and Spark");
  // Without a demo, its picture stays as it is.
  if (figures && existsSync(figures)) {
    const { picture } = JSON.parse(readFileSync(figures, "utf8"));
    const title = `The flights of ${picture.day}: before in ${picture.before.objects} objects, after in ${picture.after.objects}`;
    write("before-and-after", beforeAndAfter(theme, picture), title);
  }
}
console.log(folder);
