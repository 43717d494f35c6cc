# Runs on the files to be packed. Debian keeps what is for LD_PRELOAD only in a folder of the package's own,
# beside the libraries that programs are linked with; a link leads there, so that LD_PRELOAD=libmmshim.so
# finds it. Manual pages and the changelog are compressed, reproducibly.
file(GLOB_RECURSE files ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*)
foreach(file IN LISTS files)
  get_filename_component(folder ${file} DIRECTORY)
  get_filename_component(name ${file} NAME)
  if(name MATCHES "^libmmshim(_bounds)?\\.so$")
    file(MAKE_DIRECTORY ${folder}/mmshim)
    file(RENAME ${file} ${folder}/mmshim/${name})
    file(CREATE_LINK mmshim/${name} ${file} SYMBOLIC)
  elseif(file MATCHES "\\.a$")
    execute_process(COMMAND strip --strip-debug --remove-section=.comment ${file} COMMAND_ERROR_IS_FATAL ANY)
  elseif(file MATCHES "/man/man[0-9]/|/changelog$")
    execute_process(COMMAND gzip -9n ${file} COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()
