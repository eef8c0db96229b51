// In the audio thread: mixes to mono, packs 16-bit samples into frames, measures the level.

const FRAME_S = 0.1;

class Packer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(Math.round(sampleRate * FRAME_S));
    this.filled = 0;
    this.power = 0;
    this.ended = false;
    this.port.onmessage = () => this.#end();
  }

  process([channels]) {
    if (this.ended) return false;
    for (let at = 0; channels.length && at < channels[0].length; at++) this.#add(mono(channels, at));
    return true;
  }

  #add(value) {
    this.power += value * value;
    this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
    if (this.filled === this.frame.length) this.#send();
  }

  #send() {
    const samples = this.frame.slice(0, this.filled);
    const level = 10 * Math.log10(this.power / Math.max(1, this.filled) + 1e-10);
    this.port.postMessage({ samples: samples.buffer, level_db: level }, [samples.buffer]);
    this.filled = 0;
    this.power = 0;
  }

  #end() {
    if (this.filled) this.#send();
    this.ended = true;
    this.port.postMessage({ ended: true });
  }
}

function mono(channels, at) {
  let sum = 0;
  for (const channel of channels) sum += channel[at];
  return sum / channels.length;
}

registerProcessor("packer", Packer);
