! What Fortran programs are made of. Prints what comes of it.
module lists
  type node
    integer :: number
    type(node), pointer :: next => null()
  end type
  type box
    integer, allocatable :: items(:)
    character(:), allocatable :: name
  end type
end module

program work
  use lists
  implicit none
  type(node), pointer :: head, p
  type(box), allocatable :: boxes(:)
  real(8), allocatable :: a(:, :)
  integer :: i
  integer(8) :: total
  nullify (head)
  do i = 1, 50000
    allocate (p)
    p%number = i
    p%next => head
    head => p
  end do
  total = 0
  do while (associated(head))
    p => head
    head => head%next
    total = total + p%number
    deallocate (p)
  end do
  print *, total
  allocate (boxes(2000))
  !$omp parallel do
  do i = 1, 2000
    allocate (boxes(i)%items(mod(i * 7919, 3001)))
    boxes(i)%items = i
    boxes(i)%name = repeat('x', mod(i, 50)) // 'y'
    boxes(i)%items = [boxes(i)%items, i]
  end do
  total = 0
  do i = 1, 2000
    total = total + size(boxes(i)%items) + len(boxes(i)%name)
  end do
  print *, total
  deallocate (boxes)
  allocate (a(300, 300))
  a = reshape([(real(mod(i * 7919, 10007), 8), i=1, 90000)], [300, 300])
  print '(es12.5)', sum(matmul(a, transpose(a)))
end program
