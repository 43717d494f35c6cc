/* demangle.c - names of C++ functions as people read them, and what is no such name. */
#include "findings/demangle.h"

#include "check.h"
#include <string.h>

static char text[8192];

static bool demangle(const char *symbol)
{
    struct mm_out out;
    mm_out_start(&out, text, sizeof text);
    bool done = mm_demangle(&out, symbol);
    CHECK(done || out.length == 0);
    return done;
}

static void check_name(const char *symbol, const char *expected)
{
    CHECK(demangle(symbol));
    CHECK_TEXT(text, expected);
}

static void names(void)
{
    check_name("_Z4dropPv", "drop");
    check_name("_ZN6server5closeEi", "server::close");
    check_name("_ZNK6server4nameEv", "server::name");
    check_name("_ZN6holderC1Ev", "holder::holder");
    check_name("_ZN2ns6holderD2Ev", "ns::holder::~holder");
    check_name("_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo");
    check_name("_ZL6staticv", "static");
    check_name("_ZN2ns3boxIiE3setERKi", "ns::box<...>::set");
    check_name("_ZN3boxISt6vectorIiSaIiEEEC2EOS3_", "box<...>::box");
    check_name("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<...>::push_back");
    check_name("_ZNSsD1Ev", "std::string::~basic_string");
    check_name("_ZSt4swapIiEvRT_S1_", "std::swap<...>");
    check_name("_Z3maxIdET_S0_S0_", "max<...>");
}

static void operators(void)
{
    check_name("_ZN5thingeqERKS_", "thing::operator==");
    check_name("_ZN5thingclEv", "thing::operator()");
    check_name("_ZN5thingaSEOS_", "thing::operator=");
    check_name("_ZNV5thingixEi", "thing::operator[]");
    check_name("_ZNK5thingcvPiEv", "thing::operator (...)");
    check_name("_ZN5thingcvbEv", "thing::operator (...)");
    check_name("_Znwm", "operator new");
    check_name("_ZdaPv", "operator delete[]");
}

/* Of types only their end is looked for. */
static void arguments(void)
{
    check_name("_Z11by_functionIXadL_Z6targetiEEEvv", "by_function<...>");
    check_name("_Z7by_boolILb1ELc120EEvv", "by_bool<...>");
    check_name("_Z4packIJiRNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEEEvDpOT_",
               "pack<...>");
    check_name("_Z5nullsDnDn", "nulls");
    check_name("_Z4widewDsDinoeabyf", "wide");
    check_name("_Z6arraysRA3_iPA7_Kc", "arrays");
    check_name("_Z7membersM6taggedB2v1iMS_KFvvRE", "members");
    check_name("_Z9functionsPFvizERDoFivE", "functions");
    CHECK(!demangle("_Z5sizedIiEvPAstT__c")); /* an expression */
    CHECK(!demangle("_Z4declIiEDTplfp_Li1EET_"));
}

static void inner_ones(void)
{
    check_name("_ZN6taggedB2v11mEv", "tagged::m");
    check_name("_ZZ5localvENKUlT_E_clIiEEDaS_", "local::{lambda}::operator()<...>");
    check_name("_ZZZ5localvEN6inner21fEPFivEEd_NKUlvE_clEv",
               "local::inner2::f::{lambda}::operator()");
    check_name("_ZZ4mainENKUlvE_clEv", "main::{lambda}::operator()");
    check_name("_ZZN1a1fEvE5count", "a::f::count");
    check_name("_ZZ1fvENKUliE0_clEi", "f::{lambda}::operator()");
    check_name("_Z1fv.cold", "f");
    check_name("_Z3runPFvPvEM1aFivE", "run");
    check_name("_Z1fILi3EEvv", "f<...>");
    check_name("_Z1fIJidEEvDpT_", "f<...>");
}

static void no_names(void)
{
    static const char *const others[] = {"",        "main", "_Z",   "_ZN",    "_ZTV1a", "_Z9abc",
                                         "_ZN1aE1", "_Z1",  "_Z0v", "_ZN1aI", "_Z1fI"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK(!demangle(others[i]));
}

/* However deep, and wherever it is cut off. */
static void bounded(void)
{
    char deep[4096] = "_Z1f";
    memset(deep + 4, 'P', sizeof deep - 6);
    deep[sizeof deep - 2] = 'v';
    CHECK(!demangle(deep));
    memset(deep + 4, 'J', sizeof deep - 6);
    deep[4] = 'I';
    CHECK(!demangle(deep));
    char cut[64] = "_ZNSt6vectorIiSaIiEE9push_backERKi";
    for (size_t length = strlen(cut); length > 0; length--) {
        cut[length] = '\0';
        demangle(cut);
    }
}

/* What a terminal would obey, and half a character. */
static void strange_bytes(void)
{
    char cut[16];
    struct mm_out out;
    check_name("_Z5a\033[2Jv", "a?[2J");
    check_name("_ZN1a3\xe2\x86\x92"
               "Ev",
               "a::\xe2\x86\x92");
    check_name("_ZN1a2\xe2\x86"
               "Ev",
               "a::??");
    mm_out_start(&out, cut, sizeof cut);
    mm_out_format(&out, "in ");
    mm_demangle_cut(&out, "_ZN6server5closeEi", 8);
    CHECK_TEXT(cut, "in server::...");
}

int main(void)
{
    strange_bytes();
    names();
    operators();
    arguments();
    inner_ones();
    no_names();
    bounded();
    return 0;
}
