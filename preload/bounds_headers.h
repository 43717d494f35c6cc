/* bounds_headers.h - what declares the functions of bounds.def, and those that no header does. */
#ifndef BOUNDS_HEADERS_H
#define BOUNDS_HEADERS_H

#include <arpa/inet.h>
#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

int __vprintf_chk(int flag, const char *format, va_list list);
int __vfprintf_chk(FILE *file, int flag, const char *format, va_list list);
int __vdprintf_chk(int file, int flag, const char *format, va_list list);
int __vasprintf_chk(char **to, int flag, const char *format, va_list list);
int __vsprintf_chk(char *to, int flag, size_t whole, const char *format, va_list list);
int __vsnprintf_chk(char *to, size_t size, int flag, size_t whole, const char *format,
                    va_list list);
void __vsyslog_chk(int level, int flag, const char *format, va_list list);
int __vwprintf_chk(int flag, const wchar_t *format, va_list list);
int __vfwprintf_chk(FILE *file, int flag, const wchar_t *format, va_list list);
int __vswprintf_chk(wchar_t *to, size_t count, int flag, size_t whole, const wchar_t *format,
                    va_list list);
int __isoc99_vscanf(const char *format, va_list list);
int __isoc99_vfscanf(FILE *file, const char *format, va_list list);
int __isoc99_vsscanf(const char *text, const char *format, va_list list);
int __isoc99_vwscanf(const wchar_t *format, va_list list);
int __isoc99_vfwscanf(FILE *file, const wchar_t *format, va_list list);
int __isoc99_vswscanf(const wchar_t *text, const wchar_t *format, va_list list);
int __isoc23_vscanf(const char *format, va_list list);
int __isoc23_vfscanf(FILE *file, const char *format, va_list list);
int __isoc23_vsscanf(const char *text, const char *format, va_list list);
int __isoc23_vwscanf(const wchar_t *format, va_list list);
int __isoc23_vfwscanf(FILE *file, const wchar_t *format, va_list list);
int __isoc23_vswscanf(const wchar_t *text, const wchar_t *format, va_list list);

#endif
