// Connectionist temporal classification (Graves et al., 2006) of one utterance.

#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

// A number from 0 on by its logarithm: slow, but nothing is too small for it.
struct ByLogarithm {
  double logarithm = -std::numeric_limits<double>::infinity();
};

inline ByLogarithm operator*(ByLogarithm a, ByLogarithm b) { return {a.logarithm + b.logarithm}; }
inline ByLogarithm operator/(ByLogarithm a, ByLogarithm b) { return {a.logarithm - b.logarithm}; }
inline ByLogarithm operator+(ByLogarithm a, ByLogarithm b) {
  const double nothing = ByLogarithm{}.logarithm;
  if (a.logarithm == nothing) return b;
  if (b.logarithm == nothing) return a;
  double high = std::max(a.logarithm, b.logarithm);
  return {high + std::log1p(std::exp(-std::fabs(a.logarithm - b.logarithm)))};
}
inline ByLogarithm &operator+=(ByLogarithm &a, ByLogarithm b) { return a = a + b; }

inline double logarithm(double number) { return std::log(number); }
inline double logarithm(ByLogarithm number) { return number.logarithm; }
inline double value(double number) { return number; }
inline double value(ByLogarithm number) { return std::exp(number.logarithm); }
template <class Number> Number from_logarithm(double logarithm);
template <> inline double from_logarithm(double logarithm) { return std::exp(logarithm); }
template <> inline ByLogarithm from_logarithm(double logarithm) { return {logarithm}; }

// An utterance's labels and what the network says of its frames.
struct Utterance {
  int frames;
  const int *labels;
  int label_count;
  int symbols;
  const float *scores;   // logarithms of the symbols' probabilities in frame 0
  float *gradient;       // of the loss by the logits of frame 0; gets the result
  const size_t *places;  // where each frame is, counted from frame 0
  float share;           // what the utterance's loss is multiplied with

  // States: a blank before, between and after the labels.
  int states() const { return 2 * label_count + 1; }
  int symbol(int state) const { return state % 2 ? labels[state / 2] : 0; }
  // Whether a path may come to a state from the one before the last, leaving out a blank.
  bool may_skip(int state) const {
    return state >= 3 && state % 2 && labels[state / 2] != labels[state / 2 - 1];
  }
  // Numbers that the two passes need.
  size_t workspace() const { return size_t(frames + 2) * states() + frames; }
};

constexpr int MOST_SYMBOLS = 32;

template <class Number> void read_frame(const Utterance &own, int frame, Number *probabilities) {
  for (int symbol = 0; symbol < own.symbols; symbol++)
    probabilities[symbol] = from_logarithm<Number>(own.scores[own.places[frame] + symbol]);
}

// The paths that end as they should: in the last label or the blank after it.
template <class Number> Number completed(const Utterance &own, const Number *reached) {
  const Number *last = reached + size_t(own.frames - 1) * own.states();
  int states = own.states();
  return states > 1 ? last[states - 1] + last[states - 2] : last[states - 1];
}

// Fills in the share of the paths so far that end in each state, frame by frame (frames, states),
// and what all of them were divided by in each frame; returns the logarithm of the probability
// that the labels are said.
template <class Number> double pass_forward(const Utterance &own, Number *reached, Number *totals) {
  int states = own.states();
  Number probabilities[MOST_SYMBOLS];
  double sum = 0;
  for (int frame = 0; frame < own.frames; frame++) {
    read_frame(own, frame, probabilities);
    Number *here = reached + size_t(frame) * states;
    const Number *before = here - states;
    Number together{};
    for (int state = 0; state < states; state++) {
      Number paths{};
      if (frame == 0) {
        if (state < 2) paths = from_logarithm<Number>(0);
      } else {
        paths = before[state];
        if (state > 0) paths += before[state - 1];
        if (own.may_skip(state)) paths += before[state - 2];
      }
      here[state] = paths * probabilities[own.symbol(state)];
      together += here[state];
    }
    totals[frame] = together;
    sum += logarithm(together);
    if (std::isinf(sum)) return sum;
    for (int state = 0; state < states; state++) here[state] = here[state] / together;
  }
  return sum + logarithm(completed(own, reached));
}

// Sets the gradient of a frame, given what goes through each of its states before and after;
// returns whether all paths add up to one, which they do not where numbers became too small.
template <class Number>
bool set_gradient(const Utterance &own, int frame, const Number *probabilities,
                  const Number *before, const Number *after) {
  Number shares[MOST_SYMBOLS] = {};
  for (int state = 0; state < own.states(); state++)
    shares[own.symbol(state)] += before[state] * after[state];
  double together = 0;
  float *gradient = own.gradient + own.places[frame];
  for (int symbol = 0; symbol < own.symbols; symbol++) {
    double share = value(shares[symbol]);
    together += share;
    gradient[symbol] = own.share * float(value(probabilities[symbol]) - share);
  }
  return std::fabs(together - 1) < 1e-6;
}

// Goes back over the paths and sets the gradient; returns whether all frames' paths add up.
template <class Number>
bool pass_backward(const Utterance &own, const Number *reached, const Number *totals,
                   Number *after, Number *entered) {
  int states = own.states();
  Number probabilities[MOST_SYMBOLS];
  Number end = from_logarithm<Number>(0) / completed(own, reached);
  for (int state = 0; state < states; state++)
    after[state] = state >= states - 2 ? end : Number{};
  for (int frame = own.frames - 1; frame >= 0; frame--) {
    read_frame(own, frame, probabilities);
    if (!set_gradient(own, frame, probabilities, reached + size_t(frame) * states, after))
      return false;
    for (int state = 0; state < states; state++)
      entered[state] = after[state] * probabilities[own.symbol(state)] / totals[frame];
    for (int state = 0; state < states; state++) {
      after[state] = entered[state];
      if (state + 1 < states) after[state] += entered[state + 1];
      if (state + 2 < states && own.may_skip(state + 2)) after[state] += entered[state + 2];
    }
  }
  return true;
}

// Both passes; returns the loss, which is not finite where they failed.
template <class Number> double pass_both_ways(const Utterance &own, Number *workspace) {
  Number *totals = workspace, *after = totals + own.frames, *entered = after + own.states();
  Number *reached = entered + own.states();
  double loss = -pass_forward(own, reached, totals);
  bool whole = std::isfinite(loss) && pass_backward(own, reached, totals, after, entered);
  return whole || !std::isfinite(loss) ? loss : std::nan("");
}

// Returns how far what is read of an utterance is from what is read of another view of it, times
// a weight, and adds it to the gradient: the Kullback-Leibler divergence of its symbols from the
// other's, which count as given (CR-CTC; Yao et al., 2024).
inline double pair_loss(const Utterance &own, const Utterance &other, float weight) {
  double loss = 0;
  for (int frame = 0; frame < own.frames; frame++) {
    const float *read = own.scores + own.places[frame], *said = other.scores + own.places[frame];
    float *gradient = own.gradient + own.places[frame];
    for (int symbol = 0; symbol < own.symbols; symbol++) {
      float wanted = std::exp(said[symbol]);
      loss += wanted * (said[symbol] - read[symbol]);
      gradient[symbol] += own.share * weight * (std::exp(read[symbol]) - wanted);
    }
  }
  return weight * loss;
}

// Returns the negative logarithm of the probability of an utterance's labels, and sets its
// gradient.  Infinite, with a gradient of zeros, where no path is short enough; NaN where the
// scores are.
inline double utterance_loss(const Utterance &own, double *workspace) {
  double loss = pass_both_ways<double>(own, workspace);
  if (std::isfinite(loss)) return loss;
  static_assert(sizeof(ByLogarithm) == sizeof(double), "both kinds share a workspace");
  loss = pass_both_ways(own, reinterpret_cast<ByLogarithm *>(workspace));
  if (!std::isfinite(loss))
    for (int frame = 0; frame < own.frames; frame++)
      std::fill_n(own.gradient + own.places[frame], own.symbols, 0.f);
  return loss;
}
