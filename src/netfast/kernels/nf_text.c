/* nf_text.c - the classes of ASCII. */
#include "nf_text.h"

#define DIGIT (NF_DIGIT | NF_HEX)
#define HEX_LETTER (NF_LETTER | NF_HEX)

const uint8_t nf_byte_class[256] = {
    ['\t'] = NF_SPACE, ['\n'] = NF_SPACE, ['\v'] = NF_SPACE, ['\f'] = NF_SPACE, ['\r'] = NF_SPACE, [' '] = NF_SPACE,
    ['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT,
    ['5'] = DIGIT, ['6'] = DIGIT, ['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT,
    ['A'] = HEX_LETTER, ['B'] = HEX_LETTER, ['C'] = HEX_LETTER, ['D'] = HEX_LETTER, ['E'] = HEX_LETTER,
    ['F'] = HEX_LETTER, ['G'] = NF_LETTER, ['H'] = NF_LETTER, ['I'] = NF_LETTER, ['J'] = NF_LETTER,
    ['K'] = NF_LETTER, ['L'] = NF_LETTER, ['M'] = NF_LETTER, ['N'] = NF_LETTER, ['O'] = NF_LETTER,
    ['P'] = NF_LETTER, ['Q'] = NF_LETTER, ['R'] = NF_LETTER, ['S'] = NF_LETTER, ['T'] = NF_LETTER,
    ['U'] = NF_LETTER, ['V'] = NF_LETTER, ['W'] = NF_LETTER, ['X'] = NF_LETTER, ['Y'] = NF_LETTER,
    ['Z'] = NF_LETTER, ['_'] = NF_UNDERSCORE,
    ['a'] = HEX_LETTER, ['b'] = HEX_LETTER, ['c'] = HEX_LETTER, ['d'] = HEX_LETTER, ['e'] = HEX_LETTER,
    ['f'] = HEX_LETTER, ['g'] = NF_LETTER, ['h'] = NF_LETTER, ['i'] = NF_LETTER, ['j'] = NF_LETTER,
    ['k'] = NF_LETTER, ['l'] = NF_LETTER, ['m'] = NF_LETTER, ['n'] = NF_LETTER, ['o'] = NF_LETTER,
    ['p'] = NF_LETTER, ['q'] = NF_LETTER, ['r'] = NF_LETTER, ['s'] = NF_LETTER, ['t'] = NF_LETTER,
    ['u'] = NF_LETTER, ['v'] = NF_LETTER, ['w'] = NF_LETTER, ['x'] = NF_LETTER, ['y'] = NF_LETTER,
    ['z'] = NF_LETTER,
};
