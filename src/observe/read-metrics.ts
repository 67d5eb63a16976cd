/**
 * Metrics of prom-client whose values are read where they already are (shared memory, the state of the control thread) when
 * Prometheus asks. prom-client's own way, setting every series of a second copy at each scrape, costs several times as much.
 */
import {Counter, Gauge, Histogram} from 'prom-client';

export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Of a series of a histogram: the metric's name with its suffix. */
  readonly metricName?: string;
}

export class ReadCounter extends Counter {
  readonly #read: () => Sample[];

  constructor(name: string, help: string, read: () => Sample[]) {
    super({name, help, registers: []});
    this.#read = read;
  }

  override async get(): ReturnType<Counter['get']> {
    return {...await super.get(), values: this.#read()};
  }
}

export class ReadGauge extends Gauge {
  readonly #read: () => Sample[];

  constructor(name: string, help: string, read: () => Sample[]) {
    super({name, help, registers: []});
    this.#read = read;
  }

  override async get(): ReturnType<Gauge['get']> {
    return {...await super.get(), values: this.#read()};
  }
}

export class ReadHistogram extends Histogram {
  readonly #answer: () => {name: string; help: string; type: 'histogram'; values: Sample[]};

  constructor(name: string, help: string, read: () => Sample[]) {
    super({name, help, registers: []});
    this.#answer = () => ({name, help, type: 'histogram', values: read()});
  }

  /** The registry prefers this method, which prom-client's types do not mention, over `get`. */
  async getForPromString(): Promise<unknown> {
    return this.#answer();
  }
}

/** The series of one labelled histogram from counts by bucket; the last count is of what is above every bound. */
export function histogramSamples(name: string, labels: Sample['labels'], bounds: readonly number[], counts: ArrayLike<number>, sum: number): Sample[] {
  const samples: Sample[] = [];
  let count = 0;
  for (let bucket = 0; bucket <= bounds.length; bucket++) {
    count += counts[bucket] ?? 0;
    samples.push({metricName: `${name}_bucket`, labels: {...labels, le: bounds[bucket] ?? '+Inf'}, value: count});
  }
  samples.push({metricName: `${name}_sum`, labels, value: sum}, {metricName: `${name}_count`, labels, value: count});
  return samples;
}
