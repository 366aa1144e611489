"use strict";
// Draws the report from the document in this page: of each job, what landed, what was made of it, and a table behind each chart.
(() => {
  const { jobs, made, missing = [], others = [] } = JSON.parse(document.getElementById("data").textContent);
  const whole = new Intl.NumberFormat("en");
  const number = (value) => whole.format(value);
  const some = (count, what) => `${number(count)} ${what}${count === 1 ? "" : what.endsWith("h") ? "es" : "s"}`;
  const size = (bytes) => {
    for (const [unit, divisor] of [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
      if (bytes >= divisor) return `${(bytes / divisor).toLocaleString("en", { maximumFractionDigits: 1 })} ${unit}`;
    }
    return `${number(bytes)} B`;
  };
  const dollars = (usd) => `$${usd.toLocaleString("en", usd < 0.1 ? { maximumSignificantDigits: 2 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  const share = (part, all) => (all ? `${((100 * part) / all).toLocaleString("en", { maximumFractionDigits: 1 })} %` : "–");

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  };

  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();

  const drawn = [];
  const axis = (more) => ({
    axisLine: { lineStyle: { color: color("line") } },
    axisTick: { show: false },
    axisLabel: { color: color("quiet"), hideOverlap: true },
    splitLine: { lineStyle: { color: color("line") } },
    nameTextStyle: { color: color("quiet") },
    ...more,
  });
  const base = (more) => ({
    animation: false,
    // Text is measured before it is drawn, for which `inherit` is no font.
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 16, top: 36, bottom: 8, outerBoundsMode: "same" },
    tooltip: {
      trigger: "axis",
      axisPointer: { type: "shadow" },
      confine: true,
      backgroundColor: color("card"),
      borderColor: color("line"),
      textStyle: { color: color("text"), fontSize: 13 },
    },
    legend: { top: 0, left: 0, textStyle: { color: color("text") }, itemWidth: 14 },
    ...more,
  });
  const MANY = 40;
  const slider = (bins, more) =>
    bins > MANY ? { type: "slider", borderColor: color("line"), textStyle: { color: color("quiet") }, brushSelect: false, ...more } : null;
  // The newest bins first; the slider has the others.
  const newest = (bins) => ({ startValue: Math.max(0, bins - 60), endValue: bins - 1 });

  const table = (title, header, rows) => {
    const head = element("tr", {}, ...header.map((text) => element("th", { scope: "col" }, text)));
    const body = rows.map((row) => element("tr", {}, ...row.map((text) => element("td", {}, String(text)))));
    const made = element("table", {}, element("caption", {}, title), element("thead", {}, head), element("tbody", {}, ...body));
    return element(
      "details",
      {},
      element("summary", {}, `Table: ${title.toLowerCase()}`),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, made),
    );
  };

  // A chart in a card. `options` are made anew for another theme; `rows` are the chart's values in order, and its table.
  const card = ({ id, title, says, options, header, rows, wide, tall, renderer = "svg", below = [] }) => {
    const reading = element("p", { class: "reading", id: `${id}-reading`, "aria-live": "polite" });
    const place = element("div", {
      class: `chart${tall ? " tall" : ""}`,
      id: `${id}-chart`,
      role: "img",
      tabindex: "0",
      "aria-label": `${title}. ${says}`,
      "aria-describedby": reading.id,
    });
    const parts = [element("h3", {}, title), element("p", { class: "quiet" }, says)];
    if (options && rows.length) parts.push(place, reading);
    if (rows.length) parts.push(table(title, header, rows));
    const made = element("section", { class: `card${wide ? " wide" : ""}`, id, "aria-label": title }, ...parts, ...below);
    if (options && rows.length) drawn.push({ place, reading, options, header, rows, renderer });
    return made;
  };

  const draw = (item) => {
    item.chart = echarts.init(item.place, null, { renderer: item.renderer });
    item.chart.setOption(item.options());
    new ResizeObserver(() => item.chart.resize()).observe(item.place);
    let at = -1;
    item.place.addEventListener("keydown", (event) => {
      const last = item.rows.length - 1;
      const to = { ArrowRight: Math.min(at + 1, last), ArrowLeft: Math.max(at - 1, 0), Home: 0, End: last }[event.key];
      if (event.key === "Escape") item.chart.dispatchAction({ type: "hideTip" });
      if (to === undefined) return;
      event.preventDefault();
      at = to;
      item.reading.textContent = item.rows[at].map((text, column) => `${item.header[column]}: ${text}`).join(" · ");
      item.chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: at });
    });
  };

  const bars = (labels, series, more = {}) => () =>
    base({
      xAxis: axis({ type: "category", data: labels }),
      yAxis: axis({ type: "value", minInterval: 1 }),
      series: series.map(({ name, values, shade }) => ({ name, type: "bar", data: values, itemStyle: { color: color(shade) }, barMaxWidth: 48 })),
      legend: series.length > 1 ? base({}).legend : undefined,
      ...more,
    });
  // Bars that lie, for long names; on a logarithmic axis, so that few are seen beside many.
  const lying = (labels, values, shade, logarithmic, format = number) => () =>
    base({
      tooltip: { ...base({}).tooltip, valueFormatter: format },
      grid: { left: 8, right: 72, top: 8, bottom: 8, outerBoundsMode: "same" },
      xAxis: axis(logarithmic ? { type: "log", min: 0.5, axisLabel: { show: false }, splitLine: { show: false } } : { type: "value", axisLabel: { show: false }, splitLine: { show: false } }),
      yAxis: axis({ type: "category", data: labels, inverse: true, axisLabel: { color: color("text"), width: 190, overflow: "truncate" } }),
      legend: undefined,
      series: [
        {
          type: "bar",
          data: values,
          barMaxWidth: 28,
          itemStyle: { color: color(shade) },
          label: { show: true, position: "right", color: color("text"), formatter: ({ value }) => format(value) },
        },
      ],
    });

  const flow = (job) => {
    const { landed, ledger, lake, latency } = job;
    const objects = Object.values(ledger.statuses).reduce((sum, count) => sum + count, 0);
    const facts = (...lines) => element("ul", { class: "facts" }, ...lines.filter(Boolean).map(([text, kind = ""]) => element("li", { class: kind }, text)));
    const agree = ledger.rows_in === ledger.rows_out + ledger.rows_quarantined;
    const other = Object.entries(ledger.statuses).filter(([status]) => status !== "committed");
    const step = (kind, title, big, ...lines) =>
      element("li", {}, element("div", { class: `card ${kind}` }, element("h3", {}, title), element("div", { class: "big" }, big), facts(...lines)));
    const arrow = () => element("li", { class: "arrow", "aria-hidden": "true" }, "→");
    return element(
      "ol",
      { class: "flow", "aria-label": "What became of what landed" },
      step("before", "Landed, as it arrived", some(landed.count, "object"), [`${size(landed.bytes)} now in the source`], [`${size(landed.bytes / Math.max(1, landed.count))} an object`]),
      arrow(),
      step(
        "work",
        "Re-keyed, exactly once",
        some(ledger.rows_in, "row"),
        [`${some(objects, "object")} in ${ledger.batches === 1 ? "one batch" : `${number(ledger.batches)} batches`}`],
        [`${number(ledger.rows_in)} read = ${number(ledger.rows_out)} written + ${number(ledger.rows_quarantined)} quarantined`, agree ? "good" : "bad"],
        latency.median === null ? null : [`in the lake ${number(latency.median)} s after it landed (median), ${number(latency.p95)} s (95 of 100)`],
        ...other.map(([status, count]) => [`${status}: ${some(count, "object")}`]),
        ...Object.entries(ledger.left_out).map(([why, count]) => [`left out of a batch, ${why}: ${some(count, "object")}`]),
        ledger.given_up ? [`always fails: ${some(ledger.given_up, "object")}`, "bad"] : null,
        ledger.lost ? [`disappeared while it was read: ${some(ledger.lost, "object")}`, "bad"] : null,
        job.queues?.waiting ? [`waiting in the queue: ${some(job.queues.waiting, "message")}`] : null,
        job.queues?.dead ? [`in the dead-letter queue: ${some(job.queues.dead, "message")}`, "bad"] : null,
      ),
      arrow(),
      step("after", "In the lake, by event time", some(lake.count, "file"), [`${size(lake.bytes)} in ${some(lake.partitions, "partition")}`], [`${size(lake.bytes / Math.max(1, lake.count))} a file`], [
        `${(lake.count / Math.max(1, lake.partitions)).toLocaleString("en", { maximumFractionDigits: 2 })} files a partition`,
      ]),
    );
  };

  const sizes = (job, id) => {
    const starts = [...new Set([...job.landed.sizes, ...job.lake.sizes].map(([start]) => start))].sort((a, b) => a - b);
    // No gaps between the smallest and the largest.
    const bins = [];
    for (let start = starts[0]; start !== undefined && start <= starts.at(-1); start = start === 0 ? 1 : start * 2) bins.push(start);
    const of = (side) => new Map(side.sizes.map(([start, count, bytes]) => [start, [count, bytes]]));
    const [before, after] = [of(job.landed), of(job.lake)];
    const at = (side, start) => side.get(start) ?? [0, 0];
    const labels = bins.map((start) => (start === 0 ? "empty" : `from ${size(start)}`));
    return card({
      id: `${id}-sizes`,
      title: "Sizes of objects, before and after",
      says: `Before: ${some(job.landed.count, "object")}, ${size(job.landed.bytes)}. After: ${some(job.lake.count, "file")}, ${size(job.lake.bytes)}. Each bar is twice as large as the one before it.`,
      options: bars(labels, [
        { name: "before: landed", values: bins.map((start) => at(before, start)[0]), shade: "before" },
        { name: "after: in the lake", values: bins.map((start) => at(after, start)[0]), shade: "after" },
      ]),
      header: ["size", "objects before", "bytes before", "files after", "bytes after"],
      rows: bins.map((start, place) => [labels[place], ...[at(before, start), at(after, start)].flatMap(([count, bytes]) => [number(count), size(bytes)])]),
    });
  };

  const heat = (job, id) => {
    const { arrived, happened, cells, step } = job.heat;
    const most = Math.max(1, ...cells.map(([, , rows]) => rows));
    const off = cells.filter(([x, y]) => arrived[y] !== happened[x]).reduce((sum, [, , rows]) => sum + rows, 0);
    const all = cells.reduce((sum, [, , rows]) => sum + rows, 0);
    return card({
      id: `${id}-heat`,
      title: "When rows arrived, by when they happened",
      says: cells.length
        ? `Each cell is one ${step} by one ${step}; on the diagonal, rows arrived in the ${step} in which they happened. ${share(off, all)} of the rows are beside it.${happened.length > MANY ? " The newest are shown; the sliders have the others." : ""}`
        : "The partitions have no time in their path, so it is not known when rows happened.",
      wide: true,
      tall: true,
      renderer: "canvas",
      options: () =>
        base({
          grid: { left: 8, right: arrived.length > MANY ? 48 : 16, top: 48, bottom: happened.length > MANY ? 48 : 8, outerBoundsMode: "same" },
          tooltip: {
            ...base({}).tooltip,
            trigger: "item",
            formatter: ({ value: [x, y, , rows] }) => `happened ${happened[x]}<br>arrived ${arrived[y]}<br><b>${number(rows)}</b> rows`,
          },
          xAxis: axis({ type: "category", data: happened, name: "happened", nameLocation: "middle", nameGap: 26 }),
          yAxis: axis({ type: "category", data: arrived, name: "arrived", nameLocation: "end" }),
          visualMap: {
            min: 0,
            max: Math.log10(most),
            dimension: 2,
            orient: "horizontal",
            right: 8,
            top: 0,
            itemHeight: 100,
            precision: 2,
            formatter: (value) => number(Math.round(10 ** value)),
            text: [`${number(most)} rows`, "1"],
            textStyle: { color: color("quiet") },
            inRange: { color: matchMedia("(prefers-color-scheme: dark)").matches ? ["#23405f", "#3f7fc4", "#a8d0ff"] : ["#bcd7f5", "#4a8fd8", "#0b3d78"] },
          },
          dataZoom: [
            slider(happened.length, { xAxisIndex: 0, bottom: 4, height: 18, ...newest(happened.length) }),
            slider(arrived.length, { yAxisIndex: 0, right: 4, width: 18, ...newest(arrived.length) }),
          ].filter(Boolean),
          legend: undefined,
          series: [{ type: "heatmap", data: cells.map(([x, y, rows]) => [x, y, Math.log10(rows), rows]), progressive: 0 }],
        }),
      header: ["happened", "arrived", "rows"],
      rows: cells.map(([x, y, rows]) => [happened[x], arrived[y], number(rows)]),
    });
  };

  const late = (job, id) => {
    const { classes, step } = job.late;
    const all = classes.reduce((sum, [, rows]) => sum + rows, 0);
    const same = classes.filter(([name]) => name.startsWith("the same")).reduce((sum, [, rows]) => sum + rows, 0);
    return card({
      id: `${id}-late`,
      title: "How late rows arrived",
      says: classes.length
        ? `${share(same, all)} of the rows arrived in the ${step} in which they happened. The bars are on a logarithmic scale.`
        : "The partitions have no time in their path.",
      options: lying(classes.map(([name]) => name), classes.map(([, rows]) => rows), "before", true),
      header: ["late by", "rows", "share"],
      rows: classes.map(([name, rows]) => [name, number(rows), share(rows, all)]),
    });
  };

  const overTime = (job, id) => {
    const { bins, step } = job.over_time;
    return card({
      id: `${id}-time`,
      title: "Rows by partition, over time",
      says: bins.length
        ? `${some(bins.reduce((sum, [, rows]) => sum + rows, 0), "row")} from ${bins[0][0]} to ${bins.at(-1)[0]} (${job.zone}), by ${step}; files as rekey wrote them.`
        : "The partitions have no time in their path.",
      wide: true,
      options: () =>
        base({
          grid: { left: 8, right: 16, top: 36, bottom: bins.length > MANY ? 44 : 8, outerBoundsMode: "same" },
          xAxis: axis({ type: "category", data: bins.map(([label]) => label) }),
          yAxis: [axis({ type: "value", name: "rows", minInterval: 1 }), axis({ type: "value", name: "files", minInterval: 1, splitLine: { show: false } })],
          dataZoom: [slider(bins.length, { bottom: 4, height: 18 })].filter(Boolean),
          series: [
            { name: "rows", type: "bar", data: bins.map(([, rows]) => rows), itemStyle: { color: color("after") } },
            { name: "files", type: "line", step: "middle", showSymbol: false, yAxisIndex: 1, data: bins.map(([, , files]) => files), lineStyle: { color: color("before"), width: 1.5 }, itemStyle: { color: color("before") } },
          ],
        }),
      header: [step, "rows", "files"],
      rows: bins.map(([label, rows, files]) => [label, number(rows), number(files)]),
    });
  };

  const quarantine = (job, id) => {
    const reasons = Object.entries(job.quarantine.reasons);
    const all = reasons.reduce((sum, [, count]) => sum + count, 0);
    const examples = job.quarantine.examples.map(({ reason, detail, source, offset, record }) =>
      element("div", { class: "example" }, element("b", {}, reason), `: ${detail} `, element("div", { class: "quiet" }, element("code", {}, source), ` at ${number(offset)}`), element("pre", {}, record.trimEnd())),
    );
    const shown = examples.length ? [element("details", {}, element("summary", {}, `Examples: ${some(examples.length, "record")}`), ...examples)] : [];
    return card({
      id: `${id}-quarantine`,
      title: "Quarantined, by reason",
      says: all ? `${some(all, "record")}, which are kept with their source, their place in it and the reason.` : "Nothing was quarantined.",
      options: lying(reasons.map(([reason]) => reason), reasons.map(([, count]) => count), "warn", false),
      header: ["reason", "records"],
      rows: reasons.map(([reason, count]) => [reason, number(count)]),
      below: shown,
    });
  };

  const compaction = (job, id) => {
    const { score, files, after, small, small_below, target_size, partitions, most } = job.compaction;
    const few = (count) => some(count, "file");
    const says =
      score === null
        ? "There are no files."
        : after < files
          ? `compact would make ${few(after)} of ${few(files)}, in ${some(partitions, "partition")}. ${few(small)} ${small === 1 ? "is" : "are"} below ${small_below} % of ${size(target_size)}.`
          : `There is nothing for compact to merge: no partition has enough small files (below ${small_below} % of ${size(target_size)}).`;
    const rows = most.map(([path, now, then, bytes]) => [path, number(now), number(then), size(bytes)]);
    return card({
      id: `${id}-compaction`,
      title: "Small files, and what compact would do",
      says: `${score === null ? "" : `Score ${score} of 100: of 100 files that a query opens now, ${score} are needed. `}${says}`,
      options: lying(["now", "after compact"], [files, after], "after", false),
      header: ["", "files", "", ""],
      rows: score === null ? [] : [["now", number(files), "", ""], ["after compact", number(after), "", ""]],
      below: rows.length ? [table("Partitions with the most to merge", ["partition", "files now", "files after", "bytes"], rows)] : [],
    });
  };

  const latency = (job, id) => {
    const { seconds, median, p95, longest, window: gathers = null } = job.latency;
    // Bars of equal width, at most thirty.
    const width = Math.max(1, Math.ceil((longest + 1) / 30));
    const counts = median === null ? [] : new Array(Math.floor(longest / width) + 1).fill(0);
    for (const [second, count] of seconds) counts[Math.floor(second / width)] += count;
    const labels = counts.map((_, place) => (width === 1 ? `${place} s` : `${place * width} to ${(place + 1) * width - 1} s`));
    return card({
      id: `${id}-latency`,
      title: "From landing to commit",
      says: median === null ? "The ledger has no times." : `Median ${number(median)} s, 95 of 100 within ${number(p95)} s, at most ${number(longest)} s.${gathers === null ? "" : ` Objects are gathered for up to ${number(gathers)} s.`}`,
      options: bars(labels, [{ name: "objects", values: counts, shade: "after" }]),
      header: ["seconds", "objects"],
      rows: labels.map((label, place) => [label, number(counts[place])]),
    });
  };

  const spent = (job, id) => {
    const { lines, usd, prices, gb } = job.spent;
    return card({
      id: `${id}-spent`,
      title: "Requests and dollars",
      says: `About ${dollars(usd)} for ${gb.toLocaleString("en", { maximumFractionDigits: 3 })} GB that landed: requests as the protocol has them for what is in the ledger, at us-east-1's prices of ${prices}. Storage, logs and empty polls are not in it: see cargo xtask cost.`,
      options: lying(lines.map(([what]) => what), lines.map(([, , cost]) => cost), "after", false, dollars),
      header: ["what", "number", "dollars"],
      rows: [...lines.map(([what, count, cost]) => [what, number(count), dollars(cost)]), ["all", "", dollars(usd)]],
    });
  };

  document.getElementById("made").textContent = `As of ${made}.${missing.length ? ` Nothing is committed yet by ${missing.join(", ")}.` : ""}`;
  jobs.forEach((job, place) => {
    const id = `job-${place}`;
    document.getElementById("jobs").append(element("li", {}, element("a", { href: `#${id}` }, job.name)));
    const path = (location) => element("code", {}, location);
    document.getElementById("main").append(
      element(
        "section",
        { id, "aria-label": job.name },
        element("h2", {}, job.name),
        element("p", { class: "quiet" }, path(job.source), " → ", path(job.target), job.table ? " · table " : "", job.table ? path(job.table) : ""),
        flow(job),
        element("div", { class: "grid" }, ...[sizes, late, heat, overTime, latency, quarantine, compaction, spent].map((part) => part(job, id))),
      ),
    );
  });
  // What the other jobs have made of what they were given.
  const other = ({ kind, name, of, done, before, after, notes, error }, place) => {
    const rows = error ? [] : [["before", before], ["after", after]];
    const amount = ([what, count, bytes]) => `${number(count)} ${what}${bytes === null ? "" : `, ${size(bytes)}`}`;
    const more = Object.entries(notes ?? {}).map(([what, count]) => `${what}: ${number(count)}`);
    return card({
      id: `other-${place}`,
      title: `${kind} ${name}`,
      says: error ?? [`${some(done, of)} done: ${amount(before)} became ${amount(after)}`, ...more].join("; ") + ".",
      options: lying(rows.map(([when, [what]]) => `${when}: ${what}`), rows.map(([, [, count]]) => count), "after", false),
      header: ["", "what", "number", "bytes"],
      rows: rows.map(([when, [what, count, bytes]]) => [when, what, number(count), bytes === null ? "" : size(bytes)]),
    });
  };
  if (others.length) {
    document.getElementById("jobs").append(element("li", {}, element("a", { href: "#others" }, "the other jobs")));
    document.getElementById("main").append(
      element("section", { id: "others", "aria-label": "The other jobs" }, element("h2", {}, "The other jobs"), element("div", { class: "grid" }, ...others.map(other))),
    );
  }
  document.querySelector("noscript")?.remove();
  drawn.forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((item) => item.chart.setOption(item.options(), true)));
  document.documentElement.dataset.drawn = String(drawn.length);
})();
